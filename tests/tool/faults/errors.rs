//! Errors of system calls: the right status, one line, and no file is partial or left over.

use std::fs;

use crate::common::{tool, Dir, Run};
use crate::{injected, sample, system_calls, Call};

/// A command line, and the file that it writes, unless that is a temporary disk.
struct Case {
    arguments: &'static [&'static str],
    file: Option<&'static str>,
}

/// Returns what all runs start from.
fn prepared() -> Dir {
    let dir = Dir::new();
    let (old, new) = (vec![1; 128 << 10], vec![2; 128 << 10]);
    dir.write("base.raw", &[&old[..], &old].concat());
    dir.write("new.raw", &[&old[..], &new].concat());
    dir.write("old", b"precious");
    dir.tool("create -q -b base.raw node.qcow2 1M").ok();
    dir.tool("convert -q new.raw new.qcow2").ok();
    dir
}

fn copy(from: &Dir) -> Dir {
    let dir = Dir::new();
    for name in from.names() {
        fs::copy(from.path(&name), dir.path(&name)).expect("copy");
    }
    dir.mkdir("tmp");
    dir
}

fn content(dir: &Dir, case: &Case) -> Vec<u8> {
    case.file
        .map_or(Vec::new(), |file| without_record(dir, dir.read(file)))
}

/// Clones record the path and the time of their base, which differ from directory to directory.
fn without_record(dir: &Dir, bytes: Vec<u8>) -> Vec<u8> {
    let path = fs::canonicalize(dir.path("base.raw")).expect("a path");
    let path = path.to_string_lossy().into_owned();
    let is_clone = bytes
        .windows(path.len())
        .any(|part| part == path.as_bytes());
    if is_clone {
        bytes[4096..].to_vec()
    } else {
        bytes
    }
}

/// Checks what a run with a fault has left: all or nothing.
fn check(dir: &Dir, case: &Case, run: &Run, complete: &[u8], what: &str) {
    let is_ok = run.status == Some(0);
    if is_ok {
        assert_eq!(run.stderr, "", "{what}");
        assert!(content(dir, case) == complete, "{what}: another content");
    } else {
        assert!(matches!(run.status, Some(1 | 126)), "{what}: {run:?}");
        let is_line = run.stderr.starts_with("qcow2-overlay: ") && run.stderr.lines().count() == 1;
        assert!(is_line, "{what}: {}", run.stderr);
        assert_eq!(dir.read("old"), b"precious", "{what}");
    }
    // A command runs if nothing has failed, but it can also be the result that fails.
    let is_run = dir.path("ran").exists();
    let is_provision = case.arguments[0] == "provision";
    if case.arguments.contains(&"--") && !is_provision {
        assert_eq!(is_run, is_ok, "{what}");
    }
    let mut expected: Vec<&str> = vec![
        "base.raw",
        "new.qcow2",
        "new.raw",
        "node.qcow2",
        "old",
        "tmp",
    ];
    expected.extend(is_run.then_some("ran"));
    expected.extend(case.file.filter(|&file| is_ok && file != "old"));
    expected.sort();
    assert_eq!(dir.names(), expected, "{what}");
    assert_eq!(dir.left(), 0, "{what}");
}

/// The errors that are tried for a call. There are none for calls that fail only for want of
/// memory, which ends the tool, or not at all, and for those that remove temporary files.
fn errors_of(call: &Call) -> &'static [&'static str] {
    match &call.name[..] {
        "mmap" | "munmap" | "mremap" | "mprotect" | "brk" | "madvise" => &[],
        "getrandom" | "exit_group" | "rt_sigreturn" | "rt_sigprocmask" | "sigaltstack"
        | "futex" | "wait4" | "sendto" | "recvfrom" | "execve" => &[],
        "unlinkat" | "unlink" | "rmdir" | "getdents64" => &[],
        // The temporary directory, which is to be removed.
        "fcntl" if call.arguments.contains("F_GETFL)") => &[],
        "fcntl" if call.arguments.contains("F_SETFD") => &[],
        "openat" if call.arguments.contains("O_DIRECTORY") => &[],
        "statx" | "fstat" | "newfstatat" if call.arguments.contains("S_IFDIR") => &[],
        // Only builds for debugging ask for these flags.
        "fcntl" if call.arguments.contains("F_GETFD") => &[],
        "close" => &["EDQUOT"],
        "fcntl" if call.arguments.contains("F_SETLEASE") => &["EAGAIN", "EINVAL"],
        "fcntl" if call.arguments.contains("F_DUPFD") => &["EMFILE"],
        "linkat" => &["EPERM", "EXDEV", "EOPNOTSUPP", "ENOENT"],
        "renameat2" => &["EINVAL", "EPERM"],
        "rename" => &["EBUSY"],
        "clone" | "clone3" | "vfork" => &["EAGAIN"],
        "pwrite64" => &["ENOSPC", "EINTR"],
        "ftruncate" => &["EFBIG"],
        _ => &["EIO"],
    }
}

fn any_system_call_can_fail(arguments: &'static [&'static str], file: Option<&'static str>) {
    let case = Case { arguments, file };
    let prepared = prepared();
    let complete = {
        let dir = copy(&prepared);
        Run::of(dir.command(tool()).args(arguments)).ok();
        content(&dir, &case)
    };
    let calls = system_calls(&copy(&prepared), arguments);
    // Before it, the dynamic linker and the standard library start.
    let started = calls
        .iter()
        .position(|call| call.arguments.starts_with("SIGXFSZ"));
    let started = started.expect("the tool starts");
    let mut failures = 0;
    let calls = &calls[started..];
    for (index, call) in sample(calls).skip(1) {
        // The standard library panics if a directory cannot be closed.
        let is_directory = calls[index - 1].name == "getdents64" && call.name == "close";
        for error in errors_of(call).iter().filter(|_| !is_directory) {
            let dir = copy(&prepared);
            let (name, number) = (&call.name, call.number);
            let inject = format!("inject={name}:error={error}:when={number}");
            let run = injected(&dir, &inject, arguments);
            check(&dir, &case, &run, &complete, &format!("{call:?}: {error}"));
            failures += u32::from(run.status != Some(0));
        }
    }
    assert!(failures > 9, "{failures} failures");
}

#[test]
fn create_with_any_error() {
    any_system_call_can_fail(&["create", "-q", "-b", "base.raw", "x", "2M"], Some("x"));
}

#[test]
fn create_that_replaces_a_file_with_any_error() {
    any_system_call_can_fail(&["create", "-q", "--force", "old", "2M"], Some("old"));
}

#[test]
fn convert_to_raw_with_any_error() {
    any_system_call_can_fail(&["convert", "-q", "-O", "raw", "new.qcow2", "x"], Some("x"));
}

#[test]
fn convert_to_an_overlay_with_any_error() {
    any_system_call_can_fail(
        &["convert", "-q", "-B", "base.raw", "new.raw", "x"],
        Some("x"),
    );
}

#[test]
fn clone_with_any_error() {
    any_system_call_can_fail(&["clone", "node.qcow2", "x"], Some("x"));
}

#[test]
fn exec_with_any_error() {
    any_system_call_can_fail(
        &["exec", "--disk", "A=node.qcow2", "--", "touch", "ran"],
        None,
    );
}

#[test]
fn provision_with_any_error() {
    let arguments = &[
        "provision",
        "-q",
        "-b",
        "base.raw",
        "x",
        "--",
        "sh",
        "-c",
        "cat new.qcow2 > $DISK && touch ran",
    ];
    any_system_call_can_fail(arguments, Some("x"));
}
