//! A complete file gets its name, or none, in each way that systems and file systems offer.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::thread;

use crate::common::{skip, tool, Dir, Run};
use crate::{injected, made, system_calls, traced, Call};

const NEW: [&str; 4] = ["create", "-q", "x", "1M"];
const REPLACED: [&str; 5] = ["create", "-q", "--force", "x", "1M"];

fn prepared(arguments: &[&str]) -> Dir {
    let dir = Dir::new();
    dir.write("base.raw", &[1; 128 << 10]);
    dir.tool("create -q -b base.raw node.qcow2 1M").ok();
    dir.mkdir("tmp");
    if arguments.contains(&"--force") {
        dir.write("x", b"precious");
    }
    dir
}

/// The system calls of the tool in a directory of its own.
fn calls(arguments: &[&str]) -> Vec<Call> {
    system_calls(&prepared(arguments), arguments)
}

/// Makes the last unnamed file of `calls` impossible, as on NFS.
fn without_unnamed_files(calls: &[Call]) -> String {
    let is_unnamed = |call: &&Call| call.arguments.contains("O_TMPFILE");
    let open = calls.iter().rfind(is_unnamed).expect("O_TMPFILE");
    format!("inject={}:error=EOPNOTSUPP:when={}", open.name, open.number)
}

#[test]
fn every_way_to_name_a_file_gives_the_same_file() {
    let complete = made(|_| {}, &NEW, "x");
    let cannot_move = "inject=renameat2:error=EINVAL inject=link,linkat:error=EPERM";
    for (arguments, old) in [
        (&NEW[..], ""),
        (&REPLACED, ""),
        (&NEW, "precious"),
        (&REPLACED, "precious"),
    ] {
        let is_kept = !old.is_empty() && arguments == NEW;
        let prepared = || {
            let dir = Dir::new();
            if !old.is_empty() {
                dir.write("x", old.as_bytes());
            }
            dir
        };
        let unnamed = if is_kept {
            "inject=creat:error=EPERM".to_owned() // nothing is opened to be written
        } else {
            without_unnamed_files(&system_calls(&prepared(), arguments))
        };
        for inject in [
            &unnamed[..],
            // Without /proc.
            "inject=linkat:error=ENOENT",
            "inject=linkat:error=EOPNOTSUPP",
            "inject=linkat:error=EXDEV",
            // exFAT: neither links nor renames that do not replace.
            &format!("{unnamed} {cannot_move}"),
            cannot_move,
            // macOS, on a volume without RENAME_EXCL.
            &format!("{unnamed} inject=renameat2:error=EOPNOTSUPP"),
        ] {
            let dir = prepared();
            let run = injected(&dir, inject, arguments);
            let expected = if is_kept { old.as_bytes() } else { &complete };
            assert_eq!(
                run.status,
                Some(i32::from(is_kept)),
                "{inject}: {}",
                run.stderr
            );
            assert!(dir.read("x") == expected, "{inject}");
            assert_eq!(dir.names(), ["x"], "{inject}");
        }
    }
}

#[test]
fn a_late_write_error_is_reported_before_the_file_has_its_name() {
    for (arguments, file) in [
        (&["create", "-q", "x", "1M"][..], "x"),
        (&["create", "-q", "--force", "x", "1M"], "x"),
        (&["convert", "-q", "base.raw", "x"], "x"),
        (&["clone", "node.qcow2", "x"], "x"),
        (
            &["exec", "--disk", "A=node.qcow2", "--", "touch", "ran"],
            "A.qcow2",
        ),
        (
            &["provision", "-q", "-b", "base.raw", "x", "--", "true"],
            "x",
        ),
    ] {
        let is_flush = |pair: &&[Call]| {
            let is_message = pair[0].arguments.starts_with("1, ");
            let is_duplicate = pair[0].arguments.contains("F_DUPFD_CLOEXEC");
            is_duplicate && !is_message && pair[1].name == "close"
        };
        for way in [
            "",
            // Without /proc the file is copied.
            "inject=linkat:error=ENOENT",
            &without_unnamed_files(&calls(arguments)),
        ] {
            let options = if way.is_empty() {
                &[][..]
            } else {
                &["-e", way]
            };
            let calls = traced(&prepared(arguments), options, arguments).1;
            let last = calls.windows(2).rfind(is_flush).expect("a flush")[1].number;
            let dir = prepared(arguments);
            let names = dir.names();
            let inject = format!("inject=close:error=EDQUOT:when={last} {way}");
            let run = injected(&dir, inject.trim(), arguments);
            let message = format!("{file}\": Disk quota exceeded (os error 122)\n");
            assert!(
                run.stderr.ends_with(&message),
                "{arguments:?}: {}",
                run.stderr
            );
            assert_eq!((run.status, run.stderr.lines().count()), (Some(1), 1));
            assert_eq!(dir.names(), names, "{arguments:?}");
            if arguments.contains(&"--force") {
                assert_eq!(dir.read("x"), b"precious");
            }
            assert_eq!(dir.left(), 0, "{arguments:?}");
        }
    }
}

#[test]
fn a_late_write_error_of_standard_output_is_an_error() {
    for arguments in [&["create", "-", "1M"][..], &["info", "node.qcow2"]] {
        let calls = calls(arguments);
        let is_flush = |pair: &&[Call]| {
            pair[0].arguments.starts_with("1, F_DUPFD_CLOEXEC") && pair[1].name == "close"
        };
        let last = calls.windows(2).rfind(is_flush).expect("a flush")[1].number;
        let dir = prepared(arguments);
        let run = injected(
            &dir,
            &format!("inject=close:error=EDQUOT:when={last}"),
            arguments,
        );
        let message = "qcow2-overlay: standard output: Disk quota exceeded (os error 122)\n";
        assert_eq!((run.status, run.stderr.as_str()), (Some(1), message));
    }
}

#[test]
fn a_signal_removes_the_temporary_file_of_provision() {
    let arguments = &["provision", "-q", "-b", "base.raw", "x", "--", "true"];
    let calls = calls(arguments);
    let unnamed = without_unnamed_files(&calls);
    let is_write = |call: &&Call| call.name == "pwrite64";
    let last = calls.iter().rfind(is_write).expect("a write").number;
    let dir = prepared(arguments);
    let names = dir.names();
    let signal = format!("inject=pwrite64:signal=SIGTERM:when={last}");
    let run = injected(&dir, &format!("{unnamed} {signal}"), arguments);
    assert_eq!((run.status, &run.stderr[..]), (None, ""));
    assert_eq!(dir.names(), names);
}

#[test]
fn a_signal_removes_the_temporary_file_of_convert() {
    const CONVERT: [&str; 5] = ["convert", "-q", "-O", "raw", "-"];
    let dir = prepared(&[]);
    let strace = |options: &[&str]| {
        let mut command = dir.command("strace");
        command.arg("-qq").args(options).arg(tool());
        command.args(CONVERT).arg("x");
        command
    };
    let base = File::open(dir.path("base.raw")).expect("open");
    let mut traced = strace(&["-o", "trace"]);
    let status = traced.stdin(base).status().expect("strace starts");
    assert!(status.success());
    let trace = String::from_utf8(dir.read("trace")).expect("a trace");
    let mut opened = trace.lines().filter(|line| line.starts_with("openat("));
    let number = opened.position(|line| line.contains("O_TMPFILE"));
    let number = number.expect("O_TMPFILE") + 1;
    dir.remove("trace");
    dir.remove("x");

    let names = dir.names();
    let inject = format!("inject=openat:error=EOPNOTSUPP:when={number}");
    let mut waiting = strace(&["-o", "/dev/null", "-e", &inject]);
    // The source does not end before the signal.
    let mut waiting = waiting.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut source = waiting.stdin.take().expect("its input");
    source.write_all(&[1; 1 << 20]).expect("write");
    let is_hidden = |name: &String| name.starts_with(".qcow2-overlay-");
    while !dir.names().iter().any(is_hidden) {
        assert!(waiting.try_wait().expect("a status").is_none(), "it ended");
        thread::yield_now();
    }
    let traced = format!("/proc/{0}/task/{0}/children", waiting.id());
    let traced = fs::read_to_string(traced).expect("the tool");
    let kill = format!("kill -TERM {traced}");
    Run::of(dir.command("sh").args(["-c", &kill])).ok();
    let status = waiting.wait().expect("a status");
    assert_eq!(status.code(), None);
    assert_eq!(dir.names(), names);
}

#[test]
fn a_disk_is_open_only_if_a_lease_tells_so() {
    let arguments = ["provision", "-q", "-b", "base.raw", "x", "--", "true"];
    let lease_after = |earlier: usize, calls: &[Call]| {
        let mut leases = calls
            .iter()
            .filter(|call| call.arguments.contains("F_SETLEASE"));
        leases
            .find(|call| call.number > earlier)
            .expect("a lease")
            .number
    };
    let first = lease_after(0, &calls(&arguments));
    let refused = format!("inject=fcntl:error=EAGAIN:when={first}");
    let dir = prepared(&arguments);
    let second = lease_after(first, &traced(&dir, &["-e", &refused], &arguments).1);
    for (inject, status) in [
        // The server grants no leases, so nothing is known.
        (format!("{refused}..{second}+{}", second - first), 0),
        // It grants one for a new file only.
        (refused, 1),
    ] {
        let dir = prepared(&arguments);
        let mut names = dir.names();
        let run = injected(&dir, &inject, &arguments);
        if status == 1 {
            assert!(
                run.stderr.contains("still has the disk open"),
                "{}",
                run.stderr
            );
        } else {
            names.push("x".to_owned());
        }
        assert_eq!(run.status, Some(status), "{}", run.stderr);
        assert_eq!(dir.names(), names);
    }
}

#[test]
fn a_copy_of_an_unnamed_file_has_the_owner_of_what_it_replaces() {
    let dir = Dir::new();
    dir.write("x", b"precious");
    // Only root can do that, and not in a sandbox that has one user.
    if let Err(error) = std::os::unix::fs::chown(dir.path("x"), Some(1234), Some(5678)) {
        return skip(&format!("chown: {error}"));
    }
    let run = injected(&dir, "inject=linkat:error=EXDEV", &REPLACED);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let found = fs::metadata(dir.path("x")).expect("metadata");
    assert_eq!((found.uid(), found.gid()), (1234, 5678));
}
