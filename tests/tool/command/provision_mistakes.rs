//! Mistakes with `provision`, and commands that fail: one line, and no file is left or lost.

use std::fs;

use crate::common::{mark_corrupt, Dir, Run};
use crate::provision::{images, provision};

/// Checks that `provision` with `arguments` fails before the command runs.
#[track_caller]
fn refused(dir: &Dir, status: i32, arguments: &str, message: &str) {
    let before = dir.names();
    provision(dir, arguments, "touch it-ran").fails(status, message);
    assert_eq!(dir.names(), before);
}

/// Checks that `provision` fails with `message`, and keeps nothing of what `script` wrote.
#[track_caller]
fn not_kept(script: &str, message: &str) {
    let dir = images();
    let before = dir.names();
    for force in [false, true] {
        if force {
            dir.write("top.qcow2", b"precious");
        }
        let arguments = if force {
            "--force -b base.raw top.qcow2"
        } else {
            "-b base.raw top.qcow2"
        };
        let here = fs::canonicalize(dir.path("")).expect("a path");
        let run = provision(&dir, arguments, script);
        let run = Run {
            stderr: run.stderr.replace(here.to_str().expect("UTF-8"), "HERE"),
            ..run
        };
        run.fails(1, message);
        if force {
            assert_eq!(dir.read("top.qcow2"), b"precious");
            dir.remove("top.qcow2");
        }
        dir.write("base.raw", &crate::convert::disk());
        assert_eq!(dir.names(), before);
    }
}

#[test]
fn refuses_invalid_arguments() {
    let dir = images();
    dir.mkdir("directory");
    refused(&dir, 2, "top.qcow2", "give a backing file: -b NAME");
    refused(
        &dir,
        2,
        "-F raw top.qcow2",
        "-F and --probe require a backing file: -b NAME",
    );
    refused(
        &dir,
        2,
        "-b base.raw -",
        "FILE cannot be standard output, because it is not written in order: give a name",
    );
    refused(
        &dir,
        2,
        "-b base.raw -o size=8M top.qcow2 8M",
        "give SIZE or -o size, not both",
    );
    refused(
        &dir,
        1,
        "-b base.raw top.qcow2 1M",
        "SIZE (in a BUILD file: size) of 1048576 bytes is smaller than the backing file \
         \"base.raw\", of 6290432 bytes: its end would be cut off",
    );
    refused(
        &dir,
        1,
        "-b missing.raw top.qcow2",
        "backing file \"missing.raw\" does not exist (NAME is relative to the directory of FILE)",
    );
    let arguments = "-b ../base.raw --probe base.raw absent/top.qcow2";
    let run = provision(&dir, arguments, "touch it-ran");
    let message = "qcow2-overlay: cannot write \"absent/top.qcow2\": No such file";
    assert!(run.stderr.starts_with(message), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1);
    assert!(!dir.path("it-ran").exists());
    refused(
        &dir,
        1,
        "--force -b base.raw base.raw",
        "\"base.raw\" is in the chain of its backing file \"base.raw\"; give another path",
    );
    refused(
        &dir,
        1,
        "--force -b base.raw directory",
        "cannot write \"directory\": it exists and is not a regular file",
    );
    refused(
        &dir,
        1,
        "-F qcow2 -b base.raw top.qcow2",
        "backing file \"base.raw\": it is not a qcow2 image: if it is raw, give its overlay \
 -F raw (in a BUILD file: backing_format = \"raw\")",
    );
    dir.tool("create -q -b base.raw overlay.qcow2").ok();
    refused(
        &dir,
        1,
        "--standalone -b overlay.qcow2 top.qcow2",
        "backing file \"overlay.qcow2\" is itself an overlay of \"base.raw\", and --standalone \
         allows none: in a BUILD file, give a qcow2_overlay or another target with Qcow2Info in \
         place of a plain file",
    );
    dir.remove("base.raw");
    refused(
        &dir,
        1,
        "-b overlay.qcow2 top.qcow2",
        "backing file \"overlay.qcow2\": its backing file \"base.raw\": No such file or directory \
         (os error 2)",
    );
}

#[test]
fn requires_a_command() {
    let dir = images();
    dir.tool("provision -b base.raw top.qcow2").fails(
        2,
        "the following required arguments were not provided: <COMMAND>...; --help shows the usage",
    );
}

#[test]
fn keeps_nothing_of_a_command_that_fails() {
    let dir = images();
    let before = dir.names();
    for (script, status, how) in [
        ("cat new.qcow2 > $DISK; exit 3", 3, "failed with status 3"),
        ("exit 255", 255, "failed with status 255"),
        ("kill -KILL $$", 137, "was terminated by signal 9"),
        ("kill -TERM $$", 143, "was terminated by signal 15"),
    ] {
        provision(&dir, "-b base.raw top.qcow2", script)
            .fails(status, &format!("\"sh\" {how}; its changes were discarded"));
        assert_eq!(dir.names(), before);
    }
    for (name, status, why) in [
        ("./absent", 127, "No such file or directory (os error 2)"),
        (
            "no-such-command",
            127,
            "No such file or directory (os error 2)",
        ),
        ("./new.raw", 126, "Permission denied (os error 13)"),
        ("/", 126, "Permission denied (os error 13)"),
    ] {
        dir.tool(&format!("provision -b base.raw top.qcow2 -- {name}"))
            .fails(status, &format!("cannot run {name:?}: {why}"));
        assert_eq!(dir.names(), before);
    }
}

#[test]
#[cfg(all(target_os = "linux", not(portable)))]
fn refuses_a_disk_that_is_still_open_for_writing() {
    let dir = images();
    let before = dir.names();
    for redirection in ["3>>$DISK", "3<>$DISK"] {
        let script = format!(
            "cat new.qcow2 > $DISK; exec {redirection}; sleep 60 < /dev/null > /dev/null 2>&1 & \
             echo $! > pid"
        );
        let run = provision(&dir, "-b base.raw top.qcow2", &script);
        dir.shell("kill $(cat pid); rm pid").ok();
        assert_eq!(
            run.stderr,
            "qcow2-overlay: a process that COMMAND started still has the disk open: it must \
             end, or close the disk, before COMMAND ends\n"
        );
        assert_eq!(run.status, Some(1));
        assert_eq!(dir.names(), before);
    }
}

#[test]
fn refuses_a_disk_that_is_missing_or_invalid() {
    not_kept(
        "rm $DISK",
        "the disk after COMMAND: No such file or directory (os error 2)",
    );
    not_kept(
        "rm -r $(dirname $DISK)",
        "the disk after COMMAND: No such file or directory (os error 2)",
    );
    not_kept(
        "rm $DISK; mkdir $DISK",
        "the disk after COMMAND: it is a directory, not an image file",
    );
    for script in ["echo garbage > $DISK", "cp new.raw $DISK", ": > $DISK"] {
        not_kept(script, "the disk after COMMAND: it is not a qcow2 image");
    }
    not_kept(
        "head -c 100 new.qcow2 > $DISK",
        "the disk after COMMAND: truncated qcow2 image: the header ends at byte 104, the file at byte 100",
    );
    // A name of the same length.
    not_kept(
        "touch -d @1 new.raw; LC_ALL=C sed -i s,base.raw,/new.raw, $DISK",
        "the disk after COMMAND: its backing file is not the one that it was created with",
    );
    not_kept(
        "\"$0\" create -q --force $DISK 1M",
        "cannot write \"top.qcow2\": the size of the source is 1048576 bytes, less than the \
         6290432 bytes of the backing file, whose end would be cut off: give a larger one, as \
         -o size=6290432 (in a BUILD file: size)",
    );
}

#[test]
fn refuses_a_disk_larger_than_the_given_size() {
    let dir = images();
    let before = dir.names();
    provision(
        &dir,
        "-b base.raw top.qcow2 7M",
        "\"$0\" create -q --force $DISK 8M",
    )
    .fails(
        1,
        "cannot write \"top.qcow2\": the size asked for is 7340032 bytes, less than the 8388608 \
         bytes of the source, whose end would be cut off: give a larger one, as -o size=8388608 \
         (in a BUILD file: size)",
    );
    assert_eq!(dir.names(), before);
}

#[test]
fn refuses_a_base_that_changed_while_the_command_ran() {
    let changed = |name| {
        format!("{name:?} was changed while COMMAND ran, so what COMMAND wrote may not match it")
    };
    for script in [
        "echo more >> base.raw",
        "printf x | dd of=base.raw conv=notrunc status=none",
        "touch base.raw",
        "cp base.raw copy && mv copy base.raw",
        // Even if the disk no longer has a record of the base.
        "touch base.raw; cat new.qcow2 > $DISK",
    ] {
        not_kept(script, &changed("base.raw"));
    }
    not_kept(
        "rm base.raw",
        "backing file \"base.raw\" does not exist (NAME is relative to the directory of FILE)",
    );
    // The base of the base.
    let dir = images();
    dir.tool("create -q -b base.raw middle.qcow2").ok();
    provision(&dir, "-b middle.qcow2 top.qcow2", "touch base.raw").fails(1, &changed("base.raw"));
    assert!(!dir.path("top.qcow2").exists());
}

#[test]
fn refuses_a_disk_that_qemu_has_marked_as_corrupt() {
    let dir = images();
    let before = dir.names();
    provision(&dir, "-b base.raw top.qcow2", &mark_corrupt("$DISK"))
        .fails(1, "the disk after COMMAND: QEMU has marked it as corrupt");
    assert_eq!(dir.names(), before);
}
