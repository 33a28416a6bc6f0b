//! `provision` where the disk is full, or that is ended anywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{tool, Dir, Run};
use crate::{in_name_space, injected, system_calls};

const PROVISION: [&str; 7] = [
    "provision",
    "-q",
    "-b",
    "base.raw",
    "top.qcow2",
    "--",
    "./install",
];

/// A base, and a command that copies an image to the disk.
fn prepare(dir: &Dir) {
    let (old, new) = (vec![1; 512 << 10], vec![2; 512 << 10]);
    dir.write("base.raw", &[&old[..], &old].concat());
    dir.write("new.raw", &[old, new].concat());
    dir.tool("convert -q new.raw new.qcow2").ok();
    dir.write("install", b"#!/bin/sh\ncat new.qcow2 > \"$DISK\"\n");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path("install"), mode).expect("chmod");
}

fn complete() -> Vec<u8> {
    let dir = Dir::new();
    prepare(&dir);
    Run::of(dir.command(tool()).args(PROVISION)).ok();
    dir.read("top.qcow2")
}

/// Checks that there is nothing but what was `before`, and perhaps the whole image.
fn check(dir: &Dir, mut before: Vec<String>, complete: &[u8], call: &str) {
    if dir.path("top.qcow2").exists() {
        assert!(dir.read("top.qcow2") == complete, "{call}");
        before.push("top.qcow2".to_owned());
    }
    assert_eq!(dir.names(), before, "{call}");
}

#[test]
fn a_signal_at_any_system_call_leaves_nothing_or_the_whole_file() {
    let complete = complete();
    let dir = Dir::new();
    prepare(&dir);
    let calls = system_calls(&dir, &PROVISION);
    assert!(calls.len() > 100, "{}", calls.len());
    let mut stopped = 0;
    for call in &calls {
        let dir = Dir::new();
        prepare(&dir);
        let before = dir.names();
        let inject = format!("inject={}:signal=SIGTERM:when={}", call.name, call.number);
        let run = injected(&dir, &inject, &PROVISION);
        stopped += usize::from(run.status != Some(0));
        check(
            &dir,
            before,
            &complete,
            &format!("{}({}", call.name, call.arguments),
        );
    }
    // Nearly all of them: the signal is not lost, but at the end it races with success.
    assert!(
        stopped > calls.len() * 4 / 5,
        "{stopped} of {}",
        calls.len()
    );
}

#[test]
fn a_full_disk() {
    let full = "No space left on device (os error 28)";
    // Too little for the disk that the command finds, for what it writes, for the image.
    for (size, message) in [
        ("8k", "qcow2-overlay: cannot write \""),
        (
            "600k",
            "qcow2-overlay: \"./install\" failed with status 1, so nothing of what it wrote is kept\n",
        ),
        ("1600k", "qcow2-overlay: cannot write \"full/x\": "),
    ] {
        let dir = Dir::new();
        prepare(&dir);
        fs::create_dir(dir.path("full")).expect("mkdir");
        let script = format!(
            "mount -t tmpfs -o size={size} none full && \
             \"$0\" provision -b ../base.raw full/x -- ./install; \
             status=$?; ls -A full; exit $status"
        );
        let run = Run::of(&mut in_name_space(&dir, &script));
        assert!(run.stderr.contains(message), "{size}: {}", run.stderr);
        assert!(size == "600k" || run.stderr.contains(full), "{}", run.stderr);
        assert_eq!((run.status, &run.stdout[..]), (Some(1), &b""[..]), "{size}");
    }
}

#[test]
fn only_what_is_new_is_opened_for_writing() {
    let dir = Dir::new();
    prepare(&dir);
    let mut written = 0;
    for call in system_calls(&dir, &PROVISION) {
        let is_open = call.name.starts_with("open") || call.name == "creat";
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"];
        if is_open && writes.iter().any(|flag| call.arguments.contains(flag)) {
            // Files without a name.
            assert!(call.arguments.contains("O_TMPFILE"), "{}", call.arguments);
            written += 1;
        }
    }
    // The disk and the image.
    assert_eq!(written, 2);
}
