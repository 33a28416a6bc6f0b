//! `exec --keep-as image`: each kept disk is one compressed file that needs no base.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command};

use qcow2_overlay::{chain, CompressionType, ImageInfo};

use crate::common::{mark_corrupt, overlay, Dir, Run};
use crate::keep::{keep, kept, said};
use crate::signals::{send, start, WAIT};

/// Returns an overlay of a base whose content compresses well.
fn text() -> Dir {
    let dir = overlay();
    dir.write("node.img", &b"A base to compress.\n".repeat(64 << 10));
    dir.tool("create -q --force -b node.img node.qcow2 2M").ok();
    dir
}

/// Returns `exec --keep WHEN --keep-as image` in Bazel with the disks A and B.
fn keep_images(dir: &Dir, when: &str, script: &str) -> Command {
    let whole = keep(dir, when, script);
    let mut command = dir.command(whole.get_program());
    let arguments: Vec<_> = whole.get_args().collect();
    command.args(&arguments[..3]).args(["--keep-as", "image"]);
    command.args(&arguments[3..]);
    for (name, value) in whole.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Checks that the disk at `path` is one compressed file with the content of the base, and that
/// the README.txt says that it needs nothing else.
#[track_caller]
fn is_image(dir: &Dir, path: &str) {
    let images = chain(&dir.path(path), None).expect("a disk");
    let [ImageInfo {
        header: Some(header),
        file_length,
        ..
    }] = &images[..]
    else {
        panic!("{images:?}");
    };
    assert_eq!(header.compression, CompressionType::Zstd as u8);
    assert!(*file_length < 1 << 19, "{file_length}");
    dir.tool(&format!("convert -q --force -O raw {path} content"))
        .ok();
    assert!(dir.read("content").starts_with(&dir.read("node.img")));
    let path = dir.path(path);
    let name = path
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let note = fs::read_to_string(path.with_file_name("README.txt")).expect("a note");
    assert!(
        note.contains(&format!("\n{name}\n  needs no other file\n")),
        "{note}"
    );
}

fn note(dir: &Dir) -> String {
    fs::read_to_string(dir.path("outputs/disks/README.txt")).expect("a note")
}

#[test]
fn a_failure_keeps_images() {
    let dir = text();
    let failed = Run::of(&mut keep_images(&dir, "on_failure", "exit 3"));
    assert_eq!(
        (failed.status, failed.stderr),
        (Some(3), said(&dir, "disks"))
    );
    is_image(&dir, "outputs/disks/A.qcow2");
    is_image(&dir, "outputs/disks/B.qcow2");
    assert!(
        !note(&dir).contains("A disk needs these files"),
        "{}",
        note(&dir)
    );
    assert_eq!(dir.left(), 0);
    Run::of(&mut keep_images(&dir, "on_failure", "true")).ok();
    assert!(!dir.path("outputs/disks.2").exists());
}

#[test]
fn an_image_has_what_the_command_wrote() {
    let dir = text();
    dir.write("new.img", &b"Written by the command.\n".repeat(64 << 10));
    let script = "\"$QCOW2_OVERLAY\" convert -q --force -B node.img new.img new.qcow2 && \
                  \"$QCOW2_OVERLAY\" clone --force new.qcow2 $A; exit 3";
    let failed = Run::of(&mut keep_images(&dir, "on_failure", script));
    assert_eq!(
        (failed.status, failed.stderr),
        (Some(3), said(&dir, "disks"))
    );
    dir.tool("convert -q -O raw outputs/disks/A.qcow2 content")
        .ok();
    assert!(dir.read("content").starts_with(&dir.read("new.img")));
}

#[test]
fn a_test_that_times_out_keeps_images() {
    let dir = text();
    let (mut child, _stdout) = start(&mut keep_images(&dir, "on_failure", WAIT));
    send("TERM", &child);
    assert_eq!(child.wait().expect("a status").signal(), Some(15));
    is_image(&dir, "outputs/disks/A.qcow2");
}

#[test]
fn always_writes_overlays_at_once_and_replaces_them_by_images() {
    let dir = text();
    // The parent of the script is the tool, and not this test.
    let script = format!("test $PPID = {} || kill -KILL $PPID", process::id());
    let run = Run::of(&mut keep_images(&dir, "always", &script));
    assert_eq!((run.status, run.stderr), (None, said(&dir, "disks")));
    kept(&dir, "disks");
    let run = Run::of(&mut keep_images(&dir, "always", "true"));
    assert_eq!((run.status, run.stderr), (Some(0), said(&dir, "disks.2")));
    is_image(&dir, "outputs/disks.2/A.qcow2");
}

#[test]
fn a_disk_whose_image_cannot_be_made_is_kept_as_an_overlay() {
    let dir = text();
    // A is no longer an image, and the base of all disks is as it was.
    let run = Run::of(&mut keep_images(
        &dir,
        "on_failure",
        "printf x > $A; exit 3",
    ));
    let problem = "qcow2-overlay: the disk A is kept as an overlay: ";
    let rest = run
        .stderr
        .strip_prefix(&said(&dir, "disks"))
        .expect("where");
    assert!(
        rest.starts_with(problem) && rest.lines().count() == 1,
        "{rest}"
    );
    assert_eq!(run.status, Some(3));
    assert_eq!(dir.read("outputs/disks/A.qcow2"), b"x");
    is_image(&dir, "outputs/disks/B.qcow2");
    assert!(
        note(&dir).contains("\nA.qcow2\n  on raw "),
        "{}",
        note(&dir)
    );
}

#[test]
fn a_disk_that_qemu_has_marked_as_corrupt_is_kept_as_an_overlay() {
    let dir = text();
    let script = mark_corrupt("$A") + "; exit 3";
    let run = Run::of(&mut keep_images(&dir, "on_failure", &script));
    let problem = "qcow2-overlay: the disk A is kept as an overlay: QEMU has marked it as \
                   corrupt, which an image of its content would not show\n";
    assert_eq!(run.stderr, said(&dir, "disks") + problem);
    let images = chain(&dir.path("outputs/disks/A.qcow2"), None).expect("a disk");
    assert!(images.len() == 2 && images[0].is_marked_corrupt());
    is_image(&dir, "outputs/disks/B.qcow2");
}

#[test]
#[cfg(all(target_os = "linux", not(portable)))]
fn a_disk_that_is_still_open_is_waited_for() {
    let dir = text();
    let open = |seconds| {
        format!("exec 3<>$A; sleep {seconds} > /dev/null 2>&1 < /dev/null & echo $! > pid; exit 3")
    };
    let run = Run::of(&mut keep_images(&dir, "on_failure", &open("0.5")));
    assert_eq!(run.stderr, said(&dir, "disks"));
    is_image(&dir, "outputs/disks/A.qcow2");
    let run = Run::of(&mut keep_images(&dir, "on_failure", &open("60")));
    dir.shell("kill $(cat pid)").ok();
    let problem = "qcow2-overlay: the disk A is kept as an overlay: a process that COMMAND \
                   started still has it open\n";
    assert_eq!(run.stderr, said(&dir, "disks.2") + problem);
    let images = chain(&dir.path("outputs/disks.2/A.qcow2"), None);
    assert_eq!(images.expect("a disk").len(), 2);
    is_image(&dir, "outputs/disks.2/B.qcow2");
}

#[test]
fn a_changed_base_keeps_overlays() {
    let dir = text();
    let run = Run::of(&mut keep_images(
        &dir,
        "always",
        "printf x >> node.img; exit 3",
    ));
    let rest = run
        .stderr
        .strip_prefix(&said(&dir, "disks"))
        .expect("where");
    assert_eq!((run.status, rest.lines().count()), (Some(3), 2));
    for line in rest.lines() {
        assert!(line.contains(" is kept as an overlay: its base "), "{line}");
        assert!(line.contains(" has changed since "), "{line}");
    }
    for disk in ["A", "B"] {
        let images = chain(&dir.path(&format!("outputs/disks/{disk}.qcow2")), None);
        assert_eq!(images.expect("a disk").len(), 2);
    }
    assert!(
        !note(&dir).contains("needs no other file"),
        "{}",
        note(&dir)
    );
}

#[test]
fn images_of_disks_that_are_not_kept_are_refused() {
    let dir = overlay();
    dir.tool("exec --keep-as image --disk A=node.qcow2 -- touch it-ran")
        .fails(
            2,
            "--keep-as is about disks that are kept: give --keep on_failure or --keep always",
        );
    assert!(!dir.path("it-ran").exists());
}
