//! `exec --copy`: files and directories that a command may write to.

use std::fs;
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::common::{overlay, tool, Dir, Run};
use crate::exec::{by_hand, in_bazel, started_by};

/// Runs a shell script with copies, by hand.
fn with(dir: &Dir, copies: &[&str], script: &str) -> Run {
    let mut arguments = vec!["exec"];
    arguments.extend(copies.iter().flat_map(|copy| ["--copy", copy]));
    arguments.extend(["--", "sh", "-e", "-c", script]);
    Run::of(&mut by_hand(dir, &arguments))
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").mode() & 0o777
}

fn link(dir: &Dir, target: &str, name: &str) {
    symlink(target, dir.path(name)).expect("symlink");
}

#[test]
fn a_copy_of_a_file_has_its_content_and_holes_and_is_writable() {
    let dir = overlay();
    dir.sparse("vars", 64 << 20);
    let mut content = dir.read("vars");
    content[1 << 20..][..4096].fill(7);
    content[(33 << 20) + 5..][..3].fill(8);
    let file = fs::File::options().write(true).open(dir.path("vars"));
    let file = file.expect("open");
    for (position, bytes) in [(1 << 20, &[7; 4096][..]), ((33 << 20) + 5, &[8; 3])] {
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, position).expect("write");
    }
    chmod(&dir.path("vars"), 0o555);
    let script = "echo $VARS; du -k $VARS | cut -f1; stat -c %a $VARS; cp $VARS copy
        printf changed > $VARS";
    let said = with(&dir, &["VARS=vars"], script).ok();
    let [path, kilobytes, mode] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    assert!(
        path.starts_with('/') && path.ends_with("/VARS"),
        "{path} is not absolute"
    );
    assert!(kilobytes.parse::<u32>().expect("a number") <= 16, "{said}");
    assert_eq!(mode, "755");
    assert!(dir.read("copy") == content);
    assert!(dir.read("vars") == content);
    assert_eq!(dir.left(), 0);
}

#[test]
fn a_copy_of_a_directory_is_the_same_tree_and_is_writable() {
    let dir = overlay();
    fs::create_dir_all(dir.path("state/empty")).expect("mkdir");
    fs::create_dir_all(dir.path("state/a/b")).expect("mkdir");
    dir.write("state/a/b/key", b"secret");
    dir.write("state/a/run", b"#!/bin/sh\n");
    link(&dir, "b/key", "state/a/link");
    link(&dir, "../a/b", "state/empty/up");
    chmod(&dir.path("state/a/b/key"), 0o400);
    chmod(&dir.path("state/a/run"), 0o555);
    chmod(&dir.path("state/a/b"), 0o555);
    let script = "umask 022; cp -a $STATE copy; echo new > $STATE/a/b/key; touch $STATE/a/b/more";
    with(&dir, &["STATE=state"], script).ok();
    let listed = |root: &str| {
        let script = format!("cd {root} && find . -printf '%P %y %l\\n' | sort");
        dir.shell(&script).ok()
    };
    assert_eq!(listed("copy"), listed("state"));
    assert_eq!(dir.read("copy/a/link"), b"secret");
    let modes = ["a/b/key", "a/run", "a/b"].map(|name| mode(&dir.path("copy").join(name)));
    assert_eq!(modes, [0o600, 0o755, 0o755]);
    assert_eq!(dir.read("state/a/b/key"), b"secret");
    assert!(!dir.path("state/a/b/more").exists());
}

#[test]
fn the_links_of_a_sandbox_are_followed() {
    let dir = overlay();
    // The tree that an action has made, and the one that Bazel shows to a test.
    fs::create_dir_all(dir.path("out/state/v2")).expect("mkdir");
    dir.write("out/state/v2/key", b"secret");
    link(&dir, "v2/key", "out/state/current");
    fs::create_dir_all(dir.path("sandbox/state/v2")).expect("mkdir");
    for name in ["state/v2/key", "state/current"] {
        symlink(
            dir.path(&format!("out/{name}")),
            dir.path(&format!("sandbox/{name}")),
        )
        .expect("symlink");
    }
    // Others that lead out of it: to a file, to a directory, and to a link with another name.
    dir.write("outside", b"outside");
    link(&dir, "outside", "alias");
    link(&dir, "../../outside", "sandbox/state/up");
    symlink(dir.path("alias"), dir.path("sandbox/state/other")).expect("symlink");
    symlink(dir.path("out/state/v2"), dir.path("sandbox/state/v3")).expect("symlink");
    // Runfiles have a link to the directory.
    symlink(dir.path("sandbox/state"), dir.path("runfile")).expect("symlink");
    with(&dir, &["STATE=runfile"], "cp -a $STATE copy").ok();
    let found = dir
        .shell("cd copy && find . -mindepth 1 -printf '%P %y%l ' | xargs -n2 | sort")
        .ok();
    let expected = "current lv2/key\nother f\nup f\nv2 d\nv2/key f\nv3 d\nv3/key f\n";
    assert_eq!(found, expected);
    assert_eq!(dir.read("copy/other"), b"outside");
    assert_eq!(dir.read("copy/current"), b"secret");
}

#[test]
fn a_link_in_a_directory_that_a_link_leads_to_is_followed() {
    let dir = overlay();
    fs::create_dir_all(dir.path("elsewhere/more")).expect("mkdir");
    dir.write("elsewhere/file", b"right");
    link(&dir, "../file", "elsewhere/more/link");
    dir.mkdir("state");
    // It has the name that it would have there.
    symlink(dir.path("elsewhere/more"), dir.path("state/more")).expect("symlink");
    for _ in 0..2 {
        let said = with(&dir, &["S=state"], "cat $S/more/link").ok();
        assert_eq!(said, "right");
        dir.write("state/file", b"wrong");
    }
}

/// Returns a command line that starts a program without root's right to write everywhere.
fn as_an_ordinary_user() -> Vec<&'static str> {
    let lost = "--bounding-set=-dac_override,-dac_read_search";
    let can = Command::new("setpriv").args([lost, "true"]).status();
    match can.is_ok_and(|status| status.success()) {
        true => vec!["setpriv", lost],
        false => vec!["env"],
    }
}

#[test]
fn a_directory_that_nobody_may_write_to_is_removed_too() {
    let dir = overlay();
    dir.mkdir("state");
    let tool = tool();
    let mut starter = as_an_ordinary_user();
    starter.push(tool.to_str().expect("UTF-8"));
    let script = "mkdir $S/a $S/a/b; touch $S/a/b/c; chmod 0 $S/a/b; chmod 555 $S/a
        touch $S/a/d 2> /dev/null || echo as expected";
    let arguments = ["exec", "--copy", "S=state", "--", "sh", "-c", script];
    let run = Run::of(&mut started_by(&dir, &starter, &arguments));
    assert_eq!(run.ok(), "as expected\n");
    assert_eq!(dir.left(), 0);
    let arguments =
        "provision -q -b node.img top.qcow2 --copy S=state --copy-output S=out -- sh -c";
    let mut command = dir.command(starter[0]);
    command.args(&starter[1..]).args(arguments.split(' '));
    let before = dir.names();
    // The directory of the output remains as it is.
    Run::of(command.arg("mkdir $S/a; touch $S/a/c; chmod 555 $S/a; exit 3"))
        .fails(3, "\"sh\" failed with status 3; its changes were discarded");
    assert_eq!(dir.names(), before);
}

#[test]
fn what_is_no_file_is_left_out_of_a_directory_and_refused_alone() {
    let dir = overlay();
    dir.mkdir("state");
    dir.shell("mkfifo state/pipe pipe && touch state/file").ok();
    assert_eq!(with(&dir, &["S=state"], "ls $S").ok(), "file\n");
    with(&dir, &["S=pipe"], "touch it-ran").fails(
        1,
        "copy S: \"pipe\" is neither a regular file nor a directory",
    );
    let gone = "copy S: \"gone\": No such file or directory (os error 2)";
    with(&dir, &["S=gone"], "touch it-ran").fails(1, gone);
    link(&dir, "/nowhere", "state/dangling");
    let gone = "copy S: \"/nowhere\": No such file or directory (os error 2)";
    with(&dir, &["S=state"], "touch it-ran").fails(1, gone);
    assert!(!dir.path("it-ran").exists());
    assert_eq!(dir.left(), 0);
}

#[test]
fn a_directory_that_contains_itself_or_its_copy_is_refused() {
    let dir = overlay();
    dir.mkdir("state");
    symlink(dir.path("state"), dir.path("state/again")).expect("symlink");
    let problem = "contains itself or its copy, and cannot be copied";
    let state = dir.path("state");
    with(&dir, &["S=state"], "true").fails(1, &format!("copy S: {state:?} {problem}"));
    let run = with(&dir, &["S=tmp"], "true");
    assert_eq!(run.status, Some(1));
    assert!(
        run.stderr
            .starts_with("qcow2-overlay: copy S: \"tmp/qcow2-"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.ends_with(&format!("{problem}\n")),
        "{}",
        run.stderr
    );
    assert_eq!(dir.left(), 0);
}

#[test]
fn disks_and_copies_have_one_directory_and_one_name_space() {
    let dir = overlay();
    let both = |disk: &str, copy: &str| {
        let script = ["--", "sh", "-c", "dirname $A $B; echo $B_BLOCKDEV"];
        let arguments = [&["exec", "--disk", disk, "--copy", copy], &script[..]];
        Run::of(&mut in_bazel(&dir, &arguments.concat()))
    };
    let said = both("A=node.qcow2", "B=node.img").ok();
    let [a, b, blockdev] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    assert!(a == b && blockdev.is_empty(), "{said}");
    let twice = "copy name \"A\": it is given twice";
    both("A=node.qcow2", "A=node.img").fails(2, twice);
    let clash =
        "copy name \"A_BLOCKDEV\": disk \"A\" has a variable of this name; choose another name";
    both("A=node.qcow2", "A_BLOCKDEV=node.img").fails(2, clash);
    // A copy has no such variable.
    both("B_BLOCKDEV=node.qcow2", "B=node.img").ok();
    let reserved = "copy name \"PATH\": this variable already has a meaning; choose another name";
    both("A=node.qcow2", "PATH=node.img").fails(2, reserved);
    let form = "--copy \"node.img\": write it as NAME=PATH";
    both("A=node.qcow2", "node.img").fails(2, form);
}

#[test]
fn a_copy_is_kept_as_the_command_left_it() {
    let dir = overlay();
    dir.mkdir("outputs");
    dir.mkdir("state");
    let keep = |when: &str, arguments: &[&str], script: &str| {
        let arguments = [
            &["exec", "--keep", when],
            arguments,
            &["--", "sh", "-c", script],
        ];
        let mut command = in_bazel(&dir, &arguments.concat());
        command.env("TEST_UNDECLARED_OUTPUTS_DIR", dir.path("outputs"));
        Run::of(&mut command)
    };
    let script = "echo new > $S/new; ln -s /etc/passwd $S/link; exit 3";
    let run = keep("on_failure", &["--copy", "S=state"], script);
    let kept = dir.path("outputs/disks");
    let said = format!("qcow2-overlay: the copies are kept in {}\n", kept.display());
    assert_eq!((run.status, run.stderr), (Some(3), said));
    assert_eq!(dir.read("outputs/disks/S/new"), b"new\n");
    assert!(kept.join("S/link").is_symlink());
    // No disk, no note about disks.
    assert!(!kept.join("README.txt").exists());
    let both = ["--disk", "A=node.qcow2", "--copy", "S=state"];
    let run = keep("always", &both, "echo new > $S/new");
    assert!(
        run.stderr.contains("the disks and copies are kept in "),
        "{}",
        run.stderr
    );
    assert_eq!(dir.read("outputs/disks.2/S/new"), b"new\n");
    assert!(dir.path("outputs/disks.2/A.qcow2").exists());
    assert!(dir.path("outputs/disks.2/README.txt").exists());
    // If one is gone, the other is kept.
    let run = keep("on_failure", &both, "rm -r $S; exit 3");
    assert!(run.stderr.contains("cannot keep "), "{}", run.stderr);
    assert!(dir.path("outputs/disks.3/A.qcow2").exists());
    let run = keep("on_failure", &both, "rm -r $A; exit 3");
    assert!(run.stderr.contains("cannot keep "), "{}", run.stderr);
    assert!(dir.path("outputs/disks.4/S").is_dir());
}
