//! Limits of the shell's `ulimit`: a command fails in one line, and leaves nothing.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::common::{overlay, tool, Dir, Run};
use crate::exec::started_by;

/// Returns the tool as run by a shell after `setup`.
fn after(setup: &str, dir: &Dir, arguments: &[&str]) -> Command {
    let script = format!("{setup}; exec \"$0\" \"$@\"");
    let tool = tool();
    let tool = tool.to_str().expect("UTF-8");
    started_by(dir, &["sh", "-c", &script, tool], arguments)
}

/// Returns an overlay, and a disk of 1 MiB with data.
fn prepared() -> Dir {
    let dir = overlay();
    dir.write("data.raw", &[1; 1 << 20]);
    dir.write("old", b"precious");
    dir
}

/// Each command that writes.
const COMMANDS: [&str; 8] = [
    "create x 1G",
    "create --force old 1G",
    "convert data.raw x",
    "convert -O raw data.raw x",
    "convert -B node.img -o size=1M data.raw x",
    "clone node.qcow2 x",
    "exec --disk A=node.qcow2 -- touch ran",
    "provision -b node.img x -- true",
];

/// Checks that nothing was written, and no command ran.
fn is_unchanged(dir: &Dir, what: &str) {
    let names = ["data.raw", "node.img", "node.qcow2", "old", "tmp"];
    assert_eq!(dir.names(), names, "{what}");
    assert_eq!(dir.read("old"), b"precious", "{what}");
    assert_eq!(dir.left(), 0, "{what}");
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "ulimit has other units")]
fn a_file_that_is_too_large_is_an_error() {
    // Also if the caller ignores the signal.
    for setup in ["ulimit -f 8", "trap '' XFSZ; ulimit -f 8"] {
        for arguments in COMMANDS {
            let dir = prepared();
            let words: Vec<&str> = arguments.split(' ').collect();
            let run = Run::of(&mut after(setup, &dir, &words));
            let end = "File too large (os error 27)\n";
            assert!(run.stderr.starts_with("qcow2-overlay: cannot "), "{run:?}");
            assert!(run.stderr.ends_with(end), "{run:?}");
            assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
            assert_eq!(run.status, Some(1), "{arguments}");
            is_unchanged(&dir, arguments);
        }
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "ulimit has other units")]
fn a_file_that_is_too_large_ends_the_command_as_usual() {
    // Enough for the disks.
    const LIMIT: &str = "ulimit -f 1000";
    const WRITE: &str = "exec head -c 1000000 /dev/zero > \"$0\"";
    const XFSZ: i32 = 25;
    let exec = ["exec", "--disk", "A=node.qcow2", "--"];
    let provision = ["provision", "-b", "node.img", "x", "--"];
    for (start, bazel) in [(&exec[..], false), (&exec, true), (&provision, false)] {
        for setup in [LIMIT, "trap '' XFSZ; ulimit -f 1000"] {
            let dir = prepared();
            let arguments = [start, &["sh", "-c", WRITE, "tmp/large"]].concat();
            let mut command = after(setup, &dir, &arguments);
            if bazel {
                command.env("TEST_TMPDIR", dir.path("tmp"));
            }
            let output = command.output().expect("it runs");
            let status = output.status;
            let ended = (status.signal(), status.code());
            let expected = match (setup, start[0]) {
                (LIMIT, "exec") => (Some(XFSZ), None),
                (LIMIT, _) => (None, Some(128 + XFSZ)),
                // head reports the error itself.
                _ => (None, Some(1)),
            };
            assert_eq!(ended, expected, "{setup}: {arguments:?}");
            let length = fs::metadata(dir.path("tmp/large")).expect("a file").len();
            assert_eq!(length, 512_000);
        }
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "ulimit has other units")]
fn few_open_files_are_an_error() {
    let mut failures = 0;
    // With fewer the dynamic linker fails.
    for limit in 4..20 {
        for arguments in COMMANDS {
            let dir = prepared();
            let words: Vec<&str> = arguments.split(' ').collect();
            let run = Run::of(&mut after(&format!("ulimit -n {limit}"), &dir, &words));
            if run.status == Some(0) {
                continue;
            }
            failures += 1;
            let what = format!("{limit}: {arguments}: {run:?}");
            // 126 if it is the command that cannot be started.
            assert!(matches!(run.status, Some(1 | 126)), "{what}");
            assert!(run.stderr.starts_with("qcow2-overlay: "), "{what}");
            assert_eq!(run.stderr.lines().count(), 1, "{what}");
            assert!(run.stderr.contains("Too many open files"), "{what}");
            is_unchanged(&dir, &what);
        }
    }
    assert!(failures > COMMANDS.len(), "{failures}");
}

#[test]
fn an_empty_tmpdir_is_that_of_the_system() {
    let dir = overlay();
    let script = "case $A in \"$PWD\"/*) exit 1 ;; esac; test -s \"$A\"";
    let arguments = ["exec", "--disk", "A=node.qcow2", "--", "sh", "-c", script];
    Run::of(after("true", &dir, &arguments).env("TMPDIR", "")).ok();
}
