//! `convert` where the disk is full, or that is killed.

use crate::common::Dir;
use crate::{in_name_space, kill_at_each, made};

/// A megabyte of data, and a sparse disk.
fn prepare(dir: &Dir) {
    dir.write("disk.raw", &[1; 1 << 20]);
}

#[test]
fn a_full_disk_has_nothing_in_the_end_or_what_was_there() {
    let full = "No space left on device (os error 28)";
    for (force, old) in [("", ""), ("--force", "precious")] {
        // Enough for the header, half of the data, all of it but not for the tables. The data
        // that is compressed takes less.
        for (size, options) in [
            ("4k", ""),
            ("4k", "-O raw"),
            ("4k", "-o cluster_size=512"),
            ("4k", "-c"),
            ("8k", "-c"),
            ("512k", ""),
            ("512k", "-O raw"),
            ("512k", "-o cluster_size=512"),
            ("1032k", ""),
            ("1032k", "-O raw"),
            ("1032k", "-o cluster_size=512"),
        ] {
            let dir = Dir::new();
            prepare(&dir);
            dir.mkdir("full");
            let keep = match old {
                "" => "true".to_owned(),
                old => format!("printf {old} > full/x"),
            };
            let script = format!(
                "mount -t tmpfs -o size={size} none full && {keep} && \
                     \"$0\" convert {force} {options} disk.raw full/x; \
                     status=$?; ls -A full >&2; cat full/* 2>/dev/null; exit $status"
            );
            let run = in_name_space(&dir, &script);
            let is_enough = size == "1032k" && options == "-O raw";
            if is_enough {
                assert_eq!(run.status, Some(0), "{}", run.stderr);
                continue;
            }
            let left = if old.is_empty() { "" } else { "x\n" };
            let message = "qcow2-overlay: cannot convert \"disk.raw\" to \"full/x\":";
            assert_eq!(
                run.stderr,
                format!("{message} {full}\n{left}"),
                "{size} {options}"
            );
            assert_eq!(run.status, Some(1));
            assert_eq!(run.stdout, old.as_bytes());
        }
    }
}

#[test]
fn killed_at_any_system_call_it_leaves_nothing_or_the_whole_file() {
    for options in [&[][..], &["-c"]] {
        let arguments = [&["convert", "-q"][..], options, &["disk.raw", "disk.qcow2"]].concat();
        let complete = made(prepare, &arguments, "disk.qcow2");
        kill_at_each(prepare, &arguments, |dir, call| match &dir.names()[..] {
            [_] => {}
            [disk, _] if disk == "disk.qcow2" => assert!(dir.read(disk) == complete, "{call}"),
            names => panic!("after {call}: {names:?}"),
        });
    }
}
