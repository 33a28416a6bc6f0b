//! `provision` where the disk is full, or that is ended anywhere.

use crate::common::Dir;
use crate::{in_name_space, made, may_be_lost, sample, signalled, system_calls};

pub const PROVISION: [&str; 9] = [
    "provision",
    "-q",
    "-b",
    "base.raw",
    "top.qcow2",
    "--",
    "sh",
    "-c",
    "cat new.qcow2 > $DISK",
];

/// A base, and an image for the disk.
pub fn prepare(dir: &Dir) {
    let (old, new) = (vec![1; 512 << 10], vec![2; 512 << 10]);
    dir.write("base.raw", &[&old[..], &old].concat());
    dir.write("new.raw", &[old, new].concat());
    dir.tool("convert -q new.raw new.qcow2").ok();
}

#[test]
fn a_signal_at_any_system_call_before_the_file_has_its_name_leaves_nothing() {
    let complete = made(prepare, &PROVISION, "top.qcow2");
    let dir = Dir::new();
    prepare(&dir);
    let calls = system_calls(&dir, &PROVISION);
    let named = calls
        .iter()
        .position(|call| call.name == "linkat" && call.arguments.contains("\"top.qcow2\""))
        .expect("the file gets its name");
    assert!(named > 100, "{named}");
    for (index, call) in sample(&calls) {
        let dir = Dir::new();
        prepare(&dir);
        let mut names = dir.names();
        let run = signalled(&dir, "SIGTERM", call, &PROVISION);
        let what = format!("{call:?}: {}", run.stderr);
        match run.status {
            // Of the tool by the signal, or that of a command that was told to end.
            None | Some(143) => assert!(index < named, "{what}"),
            // How often the tool looks for a signal depends on when the command ends, so that
            // this call may not come.
            Some(0) => {
                let may_not_come = call.name == "recvfrom";
                assert!(
                    index >= named || may_not_come || may_be_lost(call),
                    "{what}"
                );
                assert!(dir.read("top.qcow2") == complete, "{what}");
                names.push("top.qcow2".to_owned());
            }
            _ => panic!("{what}"),
        }
        assert_eq!(dir.names(), names, "{what}");
    }
}

/// A machine: another disk, and a file and a directory that the command changes.
const MACHINE: [&str; 21] = [
    "provision",
    "-q",
    "-b",
    "base.raw",
    "top.qcow2",
    "--disk",
    "DATA=data.qcow2",
    "--disk-output",
    "DATA=top.data",
    "--copy",
    "VARS=new.raw",
    "--copy-output",
    "VARS=top.vars",
    "--copy",
    "TPM=tpm",
    "--copy-output",
    "TPM=top.tpm",
    "--",
    "sh",
    "-c",
    "cat new.qcow2 > $DISK; cat new.qcow2 > $DATA; echo more >> $VARS; echo more > $TPM/more",
];
const OUTPUTS: [&str; 4] = ["top.data", "top.qcow2", "top.tpm", "top.vars"];

fn prepare_machine(dir: &Dir) {
    prepare(dir);
    dir.tool("create -q -b base.raw data.qcow2").ok();
    dir.mkdir("tpm");
}

/// Returns the outputs of a machine, a directory as the one file that the command made in it.
fn contents(dir: &Dir) -> [Vec<u8>; 4] {
    OUTPUTS.map(|name| match dir.path(name).is_dir() {
        true => dir.read(&format!("{name}/more")),
        false => dir.read(name),
    })
}

#[test]
fn a_signal_at_any_system_call_leaves_all_of_a_machine_or_nothing() {
    let dir = Dir::new();
    prepare_machine(&dir);
    let before = dir.names();
    let calls = system_calls(&dir, &MACHINE);
    let mut all = before.clone();
    all.extend(OUTPUTS.map(str::to_owned));
    all.sort();
    assert_eq!(dir.names(), all);
    let complete = contents(&dir);
    let (mut nothing, mut whole) = (0, 0);
    for (_, call) in sample(&calls) {
        let dir = Dir::new();
        prepare_machine(&dir);
        let run = signalled(&dir, "SIGTERM", call, &MACHINE);
        let what = format!("{call:?}: {}", run.stderr);
        match run.status {
            None | Some(143) => {
                assert_eq!(dir.names(), before, "{what}");
                nothing += 1;
            }
            Some(0) => {
                assert_eq!(dir.names(), all, "{what}");
                assert!(contents(&dir) == complete, "{what}: another content");
                whole += 1;
            }
            _ => panic!("{what}"),
        }
    }
    assert!(nothing > 0 && whole > 0, "{nothing} and {whole}");
}

#[test]
fn a_full_disk() {
    let full = "No space left on device (os error 28)";
    // Too little for the disk that the command finds, for what it writes, for the image.
    for (size, message) in [
        ("8k", "qcow2-overlay: cannot write \""),
        (
            "600k",
            "qcow2-overlay: \"sh\" failed with status 1; its changes were discarded\n",
        ),
        ("1600k", "qcow2-overlay: cannot write \"full/x\": "),
    ] {
        let dir = Dir::new();
        prepare(&dir);
        dir.mkdir("full");
        let script = format!(
            "mount -t tmpfs -o size={size} none full && \
             \"$0\" provision -b ../base.raw full/x -- sh -c 'cat new.qcow2 > $DISK'; \
             status=$?; ls -A full; exit $status"
        );
        let run = in_name_space(&dir, &script);
        assert!(run.stderr.contains(message), "{size}: {}", run.stderr);
        assert!(
            size == "600k" || run.stderr.contains(full),
            "{}",
            run.stderr
        );
        assert_eq!((run.status, &run.stdout[..]), (Some(1), &b""[..]), "{size}");
    }
}
