//! `provision` of a machine: further disks and copies, and a limit of time.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use qcow2_overlay::chain;

use crate::common::{Dir, Run};
use crate::convert::read;
use crate::provision::{command, images, provision};

/// Returns [`images`] with a disk for data, a file and a directory.
fn machine() -> Dir {
    let dir = images();
    dir.tool("create -q -b base.raw data.qcow2").ok();
    dir.write("vars.fd", b"factory settings");
    dir.mkdir("tpm");
    dir.write("tpm/state", b"new");
    dir
}

/// The arguments for all of them.
const ALL: &str = "-b base.raw top.qcow2 --disk DATA=data.qcow2 --disk-output DATA=top.DATA.qcow2 \
                   --copy VARS=vars.fd --copy-output VARS=top.vars \
                   --copy TPM=tpm --copy-output TPM=top.tpm";

#[test]
fn each_disk_becomes_an_image_of_its_own() {
    let dir = machine();
    dir.tool("convert -q -B data.qcow2 new.raw expected.qcow2")
        .ok();
    let script = "\"$0\" convert -q --force new.raw $DATA && \
                  printf %s \"$DATA_BLOCKDEV\" | grep -q '\"node-name\":\"DATA\"'";
    assert_eq!(
        provision(&dir, ALL, script).ok(),
        "Wrote \"top.qcow2\": 6 MiB overlay of \"base.raw\" (raw)\n\
         Wrote \"top.DATA.qcow2\": 6 MiB overlay of \"data.qcow2\" (qcow2)\n"
    );
    assert!(dir.read("top.DATA.qcow2") == dir.read("expected.qcow2"));
    assert!(read(&dir, "top.DATA.qcow2") == dir.read("new.raw"));
    assert!(read(&dir, "top.qcow2") == dir.read("base.raw"));
    let images = chain(&dir.path("top.DATA.qcow2"), None).expect("a chain");
    assert_eq!(images.len(), 3);
}

#[test]
fn further_disks_have_the_options_of_the_image_and_the_size_of_their_base() {
    let dir = machine();
    dir.tool("create -q -b base.raw --force data.qcow2 7M").ok();
    provision(&dir, &format!("-o cluster_size=4K,size=8M {ALL}"), "true").ok();
    for (name, size) in [("top.qcow2", 8 << 20), ("top.DATA.qcow2", 7 << 20)] {
        let image = &chain(&dir.path(name), None).expect("a chain")[0];
        let header = image.header.as_ref().expect("a header");
        assert_eq!((image.virtual_size, header.cluster_size()), (size, 4096));
    }
    dir.shell("rm -r top.tpm").ok();
    provision(
        &dir,
        &format!("--force {ALL}"),
        "\"$0\" create -q --force $DATA 8M",
    )
    .fails(
        1,
        "the disk DATA after COMMAND: it has 8388608 bytes, and must keep the 7340032 of its \
         backing file",
    );
}

#[test]
fn a_backing_name_is_relative_to_its_output_and_stored_unchanged() {
    let dir = machine();
    dir.mkdir("out");
    let arguments = "-q -b base.raw top.qcow2 --disk DATA=../data.qcow2 --disk-output DATA=out/d";
    provision(&dir, arguments, "true").ok();
    let images = chain(&dir.path("out/d"), None).expect("a chain");
    let header = images[0].header.as_ref().expect("a header");
    assert_eq!(header.backing_name.as_deref(), Some(&b"../data.qcow2"[..]));
}

#[test]
fn copies_are_written_as_the_command_leaves_them() {
    let dir = machine();
    fs::set_permissions(dir.path("vars.fd"), PermissionsExt::from_mode(0o444)).expect("chmod");
    // As Bazel does.
    dir.mkdir("top.tpm");
    let script = "printf ' and more' >> $VARS; echo old >> $TPM/state; mkdir $TPM/more; \
                  ln -s state $TPM/link; mkfifo $TPM/pipe; ls -A $(dirname $DISK) > seen";
    provision(&dir, ALL, script).ok();
    assert_eq!(dir.read("top.vars"), b"factory settings and more");
    assert_eq!(dir.read("top.tpm/state"), b"newold\n");
    assert!(dir.path("top.tpm/more").is_dir() && dir.path("top.tpm/link").is_symlink());
    assert!(!dir.path("top.tpm/pipe").exists());
    assert_eq!(dir.read("vars.fd"), b"factory settings");
    assert_eq!(dir.read("tpm/state"), b"new");
    assert_eq!(dir.read("seen"), b"DATA.qcow2\nDISK.qcow2\nTPM\nVARS\n");
}

/// Checks that `provision` of [`machine`] with `script` fails with `message` and writes nothing.
#[track_caller]
fn nothing_is_written(script: &str, status: i32, message: &str) {
    let dir = machine();
    let before = dir.names();
    provision(&dir, ALL, script).fails(status, message);
    assert_eq!(dir.names(), before);
}

#[test]
fn all_outputs_are_written_or_none() {
    let change = "\"$0\" convert -q --force new.raw $DATA; echo x > $VARS";
    nothing_is_written(
        &format!("{change}; exit 3"),
        3,
        "\"sh\" failed with status 3; its changes were discarded",
    );
    nothing_is_written(
        "echo garbage > $DATA",
        1,
        "the disk DATA after COMMAND: it is not a qcow2 image",
    );
    nothing_is_written(
        "rm $DATA",
        1,
        "the disk DATA after COMMAND: No such file or directory (os error 2)",
    );
    nothing_is_written(
        "touch -d @1 data.qcow2",
        1,
        "\"data.qcow2\" was changed while COMMAND ran, so what COMMAND wrote may not match it",
    );
    nothing_is_written(
        "rm $VARS",
        1,
        "the copy VARS after COMMAND: No such file or directory (os error 2)",
    );
    nothing_is_written(
        "rm $VARS; ln -s /etc $VARS",
        1,
        "the copy VARS after COMMAND: it is no longer a regular file",
    );
    nothing_is_written(
        "rm -r $TPM; : > $TPM",
        1,
        "the copy TPM after COMMAND: it is no longer a directory",
    );
    // An output that appears meanwhile, when others have their names already.
    let dir = machine();
    let mut before = dir.names();
    provision(&dir, ALL, "mkdir top.tpm; echo mine > top.tpm/file").fails(
        1,
        "cannot write \"top.tpm\": it exists and is not an empty directory",
    );
    before.push("top.tpm".to_owned());
    before.sort();
    assert_eq!(dir.names(), before);
    assert_eq!(dir.read("top.tpm/file"), b"mine\n");
}

/// The directory of the disks is removed when nothing writes to it any more.
#[test]
fn what_a_failed_command_leaves_running_is_killed_first() {
    let dir = machine();
    let before = dir.names();
    let script = "(while :; do i=$((i+1)); : > $TPM/$i; done) & sleep 0.1; exit 1";
    for _ in 0..5 {
        provision(&dir, &format!("--timeout 60 {ALL}"), script)
            .fails(1, "\"sh\" failed with status 1; its changes were discarded");
        assert_eq!(dir.names(), before);
    }
}

#[test]
#[cfg(all(target_os = "linux", not(portable)))]
fn refuses_a_further_disk_that_is_still_open() {
    let script = "exec 3>>$DATA; sleep 60 < /dev/null > /dev/null 2>&1 & echo $! > pid";
    let dir = machine();
    let run = provision(&dir, ALL, script);
    dir.shell("kill $(cat pid); rm pid").ok();
    run.fails(
        1,
        "a process that COMMAND started still has the disk DATA open: it must end, or close the \
         disk, before COMMAND ends",
    );
}

#[test]
fn refuses_mistakes_in_disks_and_copies() {
    let dir = machine();
    dir.mkdir("full");
    dir.write("full/x", b"");
    dir.shell("mkdir empty && ln -s empty alias").ok();
    dir.tool("create -q own.qcow2 1M").ok();
    let before = dir.names();
    let base = "-b base.raw top.qcow2";
    for (arguments, status, message) in [
        (
            "--disk DATA",
            2,
            "--disk \"DATA\": write it as NAME=BACKING",
        ),
        (
            "--disk-output D",
            2,
            "--disk-output \"D\": write it as NAME=FILE",
        ),
        ("--copy D", 2, "--copy \"D\": write it as NAME=PATH"),
        (
            "--disk D=data.qcow2",
            2,
            "--disk D: give --disk-output D=... too",
        ),
        (
            "--disk-output D=x",
            2,
            "--disk-output D: give --disk D=... too",
        ),
        (
            "--copy D=vars.fd",
            2,
            "--copy D: give --copy-output D=... too",
        ),
        (
            "--copy-output D=x",
            2,
            "--copy-output D: give --copy D=... too",
        ),
        (
            "--copy D=vars.fd --copy-output D=x --copy-output D=y",
            2,
            "--copy-output D: it is given twice",
        ),
        (
            "--disk DISK=data.qcow2 --disk-output DISK=x",
            2,
            "disk name \"DISK\": it is given twice",
        ),
        (
            "--copy DISK_BLOCKDEV=vars.fd --copy-output DISK_BLOCKDEV=x",
            2,
            "copy name \"DISK_BLOCKDEV\": disk \"DISK\" has a variable of this name; choose \
             another name",
        ),
        (
            "--copy HOME=vars.fd --copy-output HOME=x",
            2,
            "copy name \"HOME\": this variable already has a meaning; choose another name",
        ),
        (
            "--copy D=vars.fd --copy-output D=top.qcow2",
            2,
            "\"top.qcow2\" is given for two outputs",
        ),
        (
            "--copy D=vars.fd --copy-output D=tpm/.././top.qcow2",
            2,
            "\"tpm/.././top.qcow2\" is given for two outputs",
        ),
        (
            "--force --disk D=data.qcow2 --disk-output D=./base.raw",
            1,
            "disk D: \"./base.raw\" is in the chain of its backing file \"data.qcow2\"; give another path",
        ),
        (
            "--force --disk D=own.qcow2 --disk-output D=base.raw",
            1,
            "\"base.raw\" is in the chain of \"base.raw\"; give another path",
        ),
        (
            "--force --disk D=data.qcow2 --disk-output D=x --copy E=vars.fd --copy-output E=data.qcow2",
            1,
            "\"data.qcow2\" is in the chain of \"data.qcow2\"; give another path",
        ),
        (
            "--disk D=data.qcow2 --disk-output D=absent/x",
            1,
            "cannot write \"absent/x\": No such file or directory (os error 2)",
        ),
        (
            "--copy D=tpm --copy-output D=alias",
            1,
            "cannot write \"alias\": it exists and is not an empty directory",
        ),
        (
            "--disk D=new.raw --disk-output D=x",
            1,
            "disk D: backing file \"new.raw\": it is not a qcow2 image: create an overlay that is \
             backed by it, and give that (qcow2-overlay create -b; in a BUILD file: qcow2_overlay)",
        ),
        (
            "--disk D=data.qcow2 --disk-output D=vars.fd",
            1,
            "\"vars.fd\" exists; --force replaces it",
        ),
        (
            "--copy D=vars.fd --copy-output D=new.raw",
            1,
            "\"new.raw\" exists; --force replaces it",
        ),
        (
            "--copy D=tpm --copy-output D=full",
            1,
            "cannot write \"full\": it exists and is not an empty directory",
        ),
        (
            "--copy D=vars.fd --copy-output D=absent/x",
            1,
            "cannot write \"absent/x\": No such file or directory (os error 2)",
        ),
        (
            "--copy D=absent --copy-output D=x",
            1,
            "copy D: \"absent\": No such file or directory (os error 2)",
        ),
        (
            "--disk D=absent --disk-output D=x",
            1,
            "disk D: backing file \"absent\" does not exist (NAME is relative to the directory of \
             FILE)",
        ),
        (
            "--timeout 0",
            2,
            "invalid value '0' for '--timeout <SECONDS>': 0 is not in 1..=4294967295; --help \
             shows the usage",
        ),
    ] {
        let run = provision(&dir, &format!("{base} {arguments}"), "touch it-ran");
        assert_eq!(run.stderr, format!("qcow2-overlay: {message}\n"));
        assert_eq!(run.status, Some(status), "{arguments}");
        assert_eq!(dir.names(), before, "{arguments}");
    }
}

#[test]
fn a_command_that_takes_too_long_is_terminated() {
    let late =
        "\"sh\" was terminated after 1 s (--timeout; in a BUILD file: timeout); its changes \
                were discarded";
    for script in [
        // A shell that gets TERM does not end what it runs, which keeps its standard error open.
        "echo x > $VARS; sleep 600; true",
        // Only KILL ends this.
        "trap '' TERM; while :; do sleep 0.01; done",
        // The success of a program that was told to end, like QEMU, is none.
        "trap 'exit 0' TERM; sleep 600 & wait",
    ] {
        nothing_is_written_after(script, late);
    }
}

#[track_caller]
fn nothing_is_written_after(script: &str, message: &str) {
    let dir = machine();
    let before = dir.names();
    let arguments = format!("--timeout 1 {ALL}");
    provision(&dir, &arguments, script).fails(124, message);
    assert_eq!(dir.names(), before);
}

#[test]
fn a_command_that_ends_in_time_is_as_without_a_limit() {
    let dir = machine();
    let limit = "--timeout 600 --force -b base.raw top.qcow2";
    provision(&dir, limit, "exit 0").ok();
    for (script, status, how) in [
        ("exit 7", 7, "failed with status 7"),
        ("kill -KILL $$", 137, "was terminated by signal 9"),
    ] {
        let message = format!("\"sh\" {how}; its changes were discarded");
        provision(&dir, limit, script).fails(status, &message);
    }
    // What it leaves behind does not keep standard error open.
    let run = Run::of(&mut command(&dir, limit, "sleep 600 &"));
    run.ok();
}
