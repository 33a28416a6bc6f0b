//! `exec --keep`: the disks of a test are kept among its outputs.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use qcow2_overlay::{chain, BackingState};

use crate::common::{overlay, Dir, Run};
use crate::exec::{by_hand, in_bazel};
use crate::signals::{send, start, WAIT};

/// Returns `exec --keep` in Bazel with two disks and a shell script.
pub fn keep(dir: &Dir, when: &str, script: &str) -> Command {
    let _ = fs::create_dir(dir.path("outputs"));
    let disks = ["--disk", "A=node.qcow2", "--disk", "B=node.qcow2"];
    let arguments = [
        &["exec", "--keep", when],
        &disks[..],
        &["--", "sh", "-c", script],
    ];
    let mut command = in_bazel(dir, &arguments.concat());
    command.env("TEST_UNDECLARED_OUTPUTS_DIR", dir.path("outputs"));
    command
}

/// Returns the names of the undeclared outputs.
fn outputs(dir: &Dir) -> Vec<String> {
    let entries = fs::read_dir(dir.path("outputs")).expect("list");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("entry").file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

/// Returns the message that the disks are kept in `outputs/NAME`.
pub fn said(dir: &Dir, name: &str) -> String {
    let path = dir.path("outputs").join(name);
    format!("qcow2-overlay: the disks are kept in {}\n", path.display())
}

/// Checks that both disks are in `outputs/NAME`, with a README.txt about them.
#[track_caller]
pub fn kept(dir: &Dir, name: &str) {
    for disk in ["A", "B"] {
        let images = chain(&dir.path(&format!("outputs/{name}/{disk}.qcow2")), None);
        let images = images.expect("a disk");
        assert_eq!(images.len(), 2);
        assert_eq!(BackingState::of(&images), BackingState::Unchanged);
    }
    let note = fs::read_to_string(dir.path(&format!("outputs/{name}/README.txt"))).expect("a note");
    let base = fs::canonicalize(dir.path("node.img")).expect("a path");
    let mut stat = dir.command("stat");
    let state = Run::of(stat.args(["-c", "%s %.9Y", "node.img"])).ok();
    let line = format!("\nB.qcow2\n  on raw {}, {state}", base.display());
    assert!(note.contains(&line), "{note}");
    assert!(note.contains("\nTo look into a disk"), "{note}");
}

#[test]
fn each_of_many_commands_at_once_keeps_its_own_disks() {
    let dir = overlay();
    let start = |_| keep(&dir, "always", "true").stderr(Stdio::null()).spawn();
    let started: Vec<_> = (0..20).map(start).collect();
    for child in started {
        let status = child.expect("it starts").wait().expect("a status");
        assert!(status.success(), "{status}");
    }
    assert_eq!(outputs(&dir).len(), 20);
}

#[test]
fn a_failure_keeps_the_disks_and_a_success_does_not() {
    let dir = overlay();
    assert_eq!(
        Run::of(&mut keep(&dir, "on_failure", "test -w $A")).ok(),
        ""
    );
    assert!(outputs(&dir).is_empty());
    let failed = Run::of(&mut keep(&dir, "on_failure", "exit 3"));
    assert_eq!(
        (failed.status, failed.stderr),
        (Some(3), said(&dir, "disks"))
    );
    assert_eq!(outputs(&dir), ["disks"]);
    kept(&dir, "disks");
    let killed = Run::of(&mut keep(&dir, "on_failure", "kill -9 $$"));
    assert_eq!(
        (killed.status, killed.stderr),
        (None, said(&dir, "disks.2"))
    );
    assert_eq!(outputs(&dir), ["disks", "disks.2"]);
    kept(&dir, "disks.2");
    assert_eq!(dir.left(), 0);
}

#[test]
fn a_test_that_times_out_keeps_its_disks() {
    // Bazel sends TERM at a timeout, and KILL later.
    let dir = overlay();
    let (mut child, _stdout) = start(&mut keep(&dir, "on_failure", WAIT));
    send("TERM", &child);
    assert_eq!(child.wait().expect("a status").signal(), Some(15));
    kept(&dir, "disks");
    assert_eq!(dir.left(), 0);
}

#[test]
fn always_writes_the_disks_to_the_outputs_at_once() {
    let dir = overlay();
    let script = "echo $$; echo $A; test -s \"$(dirname $A)/README.txt\"";
    let child = keep(&dir, "always", script)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let child = child.expect("it starts");
    let pid = child.id();
    let output = child.wait_with_output().expect("its output");
    let place = fs::canonicalize(dir.path("outputs/disks/A.qcow2")).expect("a path");
    // The tool became the command, although it keeps disks.
    let printed = format!("{pid}\n{}\n", place.display());
    assert_eq!(String::from_utf8_lossy(&output.stdout), printed);
    assert_eq!(String::from_utf8_lossy(&output.stderr), said(&dir, "disks"));
    assert!(output.status.success());
    kept(&dir, "disks");
    assert_eq!(dir.left(), 0);
    Run::of(&mut keep(&dir, "always", "true")).ok();
    kept(&dir, "disks.2");
}

#[test]
fn the_note_says_how_to_read_a_disk_whose_base_was_built_again() {
    let dir = overlay();
    Run::of(&mut keep(&dir, "always", "true")).ok();
    dir.sparse("new.img", 1 << 20);
    fs::rename(dir.path("new.img"), dir.path("node.img")).expect("rename");
    let note = fs::read_to_string(dir.path("outputs/disks/README.txt")).expect("a note");
    let mut lines = note
        .lines()
        .skip_while(|line| !line.contains("built again"));
    let command = lines.nth(1).expect("a command");
    let command = command.replace("DISK", "outputs/disks/A.qcow2");
    let arguments = command.trim().strip_prefix("qcow2-overlay ");
    let arguments = arguments.expect("a command of the tool");
    dir.tool(arguments).ok();
    assert!(dir.path("disk.qcow2").exists());
}

#[test]
fn a_command_that_cannot_be_run_has_not_failed() {
    let dir = overlay();
    let problem = "cannot run \"sh\": No such file or directory (os error 2)";
    let mut command = keep(&dir, "on_failure", "true");
    Run::of(command.env("PATH", "/nonexistent")).fails(127, problem);
    assert!(outputs(&dir).is_empty());
    // The message about the disks comes before the command is run.
    let mut command = keep(&dir, "always", "true");
    let run = Run::of(command.env("PATH", "/nonexistent"));
    let expected = format!("{}qcow2-overlay: {problem}\n", said(&dir, "disks"));
    assert_eq!((run.status, run.stderr), (Some(127), expected));
    kept(&dir, "disks");
    assert_eq!(dir.left(), 0);
}

#[test]
fn refuses_to_run_without_a_directory_for_kept_disks() {
    let dir = overlay();
    for when in ["always", "on_failure"] {
        let disk = ["--disk", "A=node.qcow2", "--", "touch", "it-ran"];
        let arguments = [&["exec", "--keep", when], &disk[..]].concat();
        Run::of(&mut by_hand(&dir, &arguments)).fails(
            1,
            "disks are kept in the directory TEST_UNDECLARED_OUTPUTS_DIR, which is not set; \
             bazel test sets it",
        );
        assert!(!dir.path("it-ran").exists());
    }
}

#[test]
fn disks_that_cannot_be_kept_do_not_change_the_exit_status() {
    let dir = overlay();
    let script = "rmdir \"$TEST_UNDECLARED_OUTPUTS_DIR\"; exit 3";
    let run = Run::of(&mut keep(&dir, "on_failure", script));
    assert_eq!(run.status, Some(3));
    assert!(
        run.stderr
            .starts_with("qcow2-overlay: cannot make a directory for the disks: No such file"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_disk_is_kept_although_another_cannot_be() {
    let dir = overlay();
    let run = Run::of(&mut keep(&dir, "on_failure", "rm $A; exit 3"));
    assert_eq!(run.status, Some(3));
    let (first, second) = run.stderr.split_at(said(&dir, "disks").len());
    assert_eq!(first, said(&dir, "disks"));
    assert!(
        second.starts_with("qcow2-overlay: cannot keep ") && second.lines().count() == 1,
        "{second}"
    );
    let note = fs::read_to_string(dir.path("outputs/disks/README.txt")).expect("a note");
    assert!(note.contains("\nB.qcow2\n") && !note.contains("\nA.qcow2\n"));
    chain(&dir.path("outputs/disks/B.qcow2"), None).expect("a disk");
    // A directory without disks is of no use.
    let run = Run::of(&mut keep(&dir, "on_failure", "rm $A $B; exit 3"));
    assert_eq!((run.status, run.stderr.lines().count()), (Some(3), 2));
    assert_eq!(outputs(&dir), ["disks"]);
}
