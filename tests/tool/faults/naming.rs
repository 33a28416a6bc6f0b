//! A complete file gets its name, or none, in each way that systems and file systems offer.

use crate::common::Dir;
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
fn a_signal_removes_a_file_with_a_temporary_name() {
    for arguments in [
        &["convert", "-q", "base.raw", "x"][..],
        &["provision", "-q", "-b", "base.raw", "x", "--", "true"],
    ] {
        let calls = calls(arguments);
        let unnamed = without_unnamed_files(&calls);
        let written = calls
            .iter()
            .rfind(|call| call.name == "pwrite64")
            .expect("a write");
        let dir = prepared(arguments);
        let names = dir.names();
        // A second later the thread that removes the file has got the signal.
        let signal = format!(
            "inject=pwrite64:signal=SIGTERM:delay_exit=1000000:when={}",
            written.number
        );
        let run = injected(&dir, &format!("{unnamed} {signal}"), arguments);
        assert_eq!((run.status, &run.stderr[..]), (None, ""), "{arguments:?}");
        assert_eq!(dir.names(), names, "{arguments:?}");
    }
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
