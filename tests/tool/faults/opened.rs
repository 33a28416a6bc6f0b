//! Which files the tool opens: to write, only new ones; as bases that an image from elsewhere
//! names, only where chains are read.

use crate::common::{overlay, Dir};
use crate::{exec, provision, strace, system_calls};

/// Returns the names of the files in `dir` that the tool opens, and whether it succeeds; if not,
/// it says why in one line.
fn opened(dir: &Dir, arguments: &str) -> (Vec<String>, bool) {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let run = strace(dir, &["-o", "trace", "-e", "trace=/open"], &words);
    let trace = String::from_utf8(dir.read("trace")).expect("a trace");
    let mut names = dir.names();
    names.retain(|name| {
        let ends = [format!("\"{name}\""), format!("/{name}\"")];
        ends.iter().any(|end| trace.contains(end))
    });
    let is_refused = run.status == Some(1) && run.stderr.lines().count() == 1;
    assert!(run.status == Some(0) || is_refused, "{arguments}: {run:?}");
    (names, run.status == Some(0))
}

/// Returns a host's file, and an image that names it as its base.
fn strange() -> Dir {
    let dir = Dir::new();
    dir.sparse("secret", 1 << 20);
    let secret = dir.path("secret");
    let create = format!(
        "create -q -u -b {} -F raw strange.qcow2 1M",
        secret.display()
    );
    dir.tool(&create).ok();
    dir.sparse("node.img", 1 << 20);
    dir.mkdir("tmp");
    dir
}

#[test]
fn the_base_of_a_stranger_is_opened_by_what_reads_chains() {
    for arguments in [
        "info --backing-chain strange.qcow2",
        "convert -O raw strange.qcow2 x",
        "convert -B strange.qcow2 node.img x",
        "create -b strange.qcow2 x",
        "provision -b strange.qcow2 x -- /bin/true",
        "clone strange.qcow2 x",
        "exec --disk A=strange.qcow2 -- /bin/true",
    ] {
        let (names, succeeds) = opened(&strange(), arguments);
        assert!(names.contains(&"secret".to_owned()), "{arguments}");
        assert!(succeeds, "{arguments}");
    }
}

#[test]
fn nothing_else_opens_the_base_of_a_stranger() {
    for (arguments, expected) in [
        ("info strange.qcow2", true),
        ("info --output json strange.qcow2", true),
        ("convert --standalone strange.qcow2 x", false),
        ("convert -f raw strange.qcow2 x", true),
        ("create --standalone -b strange.qcow2 x", false),
        ("create -b later --probe strange.qcow2 -F qcow2 x", true),
        (
            "provision --standalone -b strange.qcow2 x -- /bin/true",
            false,
        ),
    ] {
        let (names, succeeds) = opened(&strange(), arguments);
        assert_eq!(succeeds, expected, "{arguments}");
        assert!(names.contains(&"strange.qcow2".to_owned()), "{arguments}");
        assert!(!names.contains(&"secret".to_owned()), "{arguments}");
    }
    let unopened = "create -u -b strange.qcow2 -F qcow2 x 1M";
    assert_eq!(opened(&strange(), unopened), (vec![], true));
}

#[test]
fn info_opens_only_the_disk_that_exec_has_written() {
    // A kept disk has a record of its base.
    let dir = strange();
    dir.tool("create -q -b node.img node.qcow2").ok();
    dir.tool("clone node.qcow2 disk.qcow2").ok();
    let names = |arguments| opened(&dir, arguments).0;
    assert_eq!(names("info disk.qcow2"), ["disk.qcow2"]);
    let chain = "info --backing-chain disk.qcow2";
    assert_eq!(names(chain), ["disk.qcow2", "node.img"]);
}

#[test]
fn a_named_pipe_or_a_device_without_blocks_is_never_opened() {
    for make in ["mkfifo secret", "ln -s /dev/tty secret", "mkdir secret"] {
        for arguments in [
            "info --backing-chain strange.qcow2",
            "convert strange.qcow2 x",
            "clone strange.qcow2 x",
            "exec --disk A=strange.qcow2 -- /bin/true",
        ] {
            let dir = strange();
            dir.shell(&format!("rm secret && {make}")).ok();
            let (names, succeeds) = opened(&dir, arguments);
            assert_eq!(names, ["strange.qcow2"], "{make}: {arguments}");
            assert!(!succeeds);
        }
    }
}

#[test]
fn only_what_is_new_is_opened_for_writing() {
    let dir = overlay();
    provision::prepare(&dir);
    for (arguments, expected) in [
        // Two disks and a copy.
        (&exec::EXEC[..], 3),
        (&["clone", "node.qcow2", "disk.qcow2"], 1),
        // The disk and the image.
        (&provision::PROVISION, 2),
    ] {
        let mut written = 0;
        for call in system_calls(&dir, arguments) {
            let is_open = call.name.starts_with("open") || call.name == "creat";
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"];
            if is_open && writes.iter().any(|flag| call.arguments.contains(flag)) {
                // A file without a name, in the directory that the disk will be in, or a copy.
                let is_new = ["O_TMPFILE", "O_EXCL"].map(|flag| call.arguments.contains(flag));
                assert!(is_new.contains(&true), "{}", call.arguments);
                written += 1;
            }
            let changes = "truncate chmod fchmod chown utimensat setxattr";
            assert!(
                !changes.split(' ').any(|change| change == call.name),
                "{call:?}"
            );
        }
        assert_eq!(written, expected, "{arguments:?}");
    }
}
