//! Outputs that cannot be written: one line, a status, and no file is left or lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{create_fails, overlay, Dir};

#[test]
fn refuses_an_output_that_exists() {
    let dir = Dir::new();
    dir.write("x", b"precious");
    dir.tool("create x 1G")
        .fails(1, "\"x\" exists; --force replaces it");
    fs::set_permissions(dir.path("x"), fs::Permissions::from_mode(0o555)).expect("chmod");
    dir.tool("create --force x 1G")
        .fails(1, "cannot write \"x\": it exists and is write-protected");
    assert_eq!(dir.read("x"), b"precious");
    dir.mkdir("d");
    dir.tool("create --force d 1G")
        .fails(1, "cannot write \"d\": it exists and is not a regular file");
    assert_eq!(dir.names(), ["d", "x"]);
}

#[test]
fn refuses_an_output_that_is_in_its_own_chain() {
    let dir = Dir::new();
    dir.sparse("node.img", 512);
    dir.tool("create -q -b node.img v1").ok();
    dir.mkdir("sub");
    fs::hard_link(dir.path("node.img"), dir.path("sub/hard.img")).expect("a link");
    std::os::unix::fs::symlink("../node.img", dir.path("sub/soft.img")).expect("symlink");
    let own = |name: &str, file: &str| {
        format!("{file:?} is in the chain of its backing file {name:?}; give another path")
    };
    for (name, file) in [
        ("node.img", "node.img"),
        ("./sub/../node.img", "node.img"),
        ("node.img", "./node.img"),
        ("sub/hard.img", "node.img"),
        ("sub/soft.img", "node.img"),
        ("../node.img", "sub/hard.img"),
        ("../node.img", "sub/soft.img"),
    ] {
        for given in ["-F raw", "--force -F raw", "--force -u -F raw", "--force"] {
            dir.tool(&format!("create {given} -b {name} {file} 1G"))
                .fails(1, &own(name, file));
        }
    }
    for force in ["", "--force"] {
        dir.tool(&format!("create {force} -b v1 node.img"))
            .fails(1, &own("v1", "node.img"));
        let given = "-b /later --probe node.img";
        dir.tool(&format!("create {force} {given} node.img"))
            .fails(1, &own("/later", "node.img"));
    }
    assert_eq!(dir.read("node.img"), [0; 512]);
    // Even where no such file exists yet.
    for (name, file) in [
        ("new", "new"),
        ("./new", "sub/../new"),
        ("../sub/new", "sub/new"),
    ] {
        dir.tool(&format!("create -u -F raw -b {name} {file} 1G"))
            .fails(1, &own(name, file));
        dir.tool(&format!("create -b {name} --probe node.img {file}"))
            .fails(1, &own(name, file));
    }
    assert_eq!(dir.names(), ["node.img", "sub", "v1"]);
    dir.tool("create -u -F raw -b ../new sub/new 1G").ok();
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /dev/full")]
fn an_output_that_cannot_be_written_is_an_error() {
    create_fails(
        "gone/x 1G",
        1,
        "cannot write \"gone/x\": No such file or directory (os error 2)",
    );
    Dir::new()
        .shell("exec \"$0\" create - 1G > /dev/full")
        .fails(1, "standard output: No space left on device (os error 28)");
}

#[test]
fn refuses_a_closed_standard_output() {
    let dir = Dir::new();
    dir.shell("exec \"$0\" create - 1G >&-").fails(
        1,
        "standard output is closed; give the name of a file, or redirect it",
    );
    dir.shell("exec \"$0\" create - 1G > /dev/null").ok();
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /dev/full")]
fn a_message_that_cannot_be_printed_changes_nothing() {
    let dir = Dir::new();
    dir.tool("create -q node.qcow2 1M").ok();
    for (arguments, file) in [
        ("create new 1M", "new"),
        ("create --force new 2M", "new"),
        ("convert node.qcow2 converted", "converted"),
        ("clone node.qcow2 disk", "disk"),
        // It is there already.
        ("clone node.qcow2 disk", "disk"),
        ("provision -b node.qcow2 top -- true", "top"),
    ] {
        let run = dir.shell(&format!("exec \"$0\" {arguments} > /dev/full"));
        assert_eq!(
            (run.stderr.as_str(), run.status),
            ("", Some(0)),
            "{arguments}"
        );
        dir.tool(&format!("info {file}")).ok();
    }
    let names = ["converted", "disk", "new", "node.qcow2", "top"];
    assert_eq!(dir.names(), names);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /dev/full")]
fn an_error_that_cannot_be_printed_keeps_its_status() {
    let dir = overlay();
    dir.mkdir("outputs");
    let names = dir.names();
    let environment = "TMPDIR=$PWD/tmp TEST_UNDECLARED_OUTPUTS_DIR=$PWD/outputs";
    for (arguments, status, printed) in [
        ("create gone/x 1M", 1, ""),
        ("create", 2, ""),
        ("exec --disk A=gone -- echo it ran", 1, ""),
        ("exec --disk A=node.qcow2 -- gone", 127, ""),
        (
            "exec --disk A=node.qcow2 --keep always -- echo it ran",
            0,
            "it ran\n",
        ),
        (
            "exec --disk A=node.qcow2 --keep on_failure -- sh -c 'echo it ran; exit 5'",
            5,
            "it ran\n",
        ),
        ("provision -b node.img x -- sh -c 'exit 5'", 5, ""),
        ("provision -b node.img x -- sh -c 'kill -9 $$'", 137, ""),
    ] {
        for stderr in ["/dev/full", "&-"] {
            let run = dir.shell(&format!("{environment} exec \"$0\" {arguments} 2>{stderr}"));
            let stdout = String::from_utf8_lossy(&run.stdout).into_owned();
            let expected = (Some(status), printed);
            assert_eq!((run.status, stdout.as_str()), expected, "{arguments}");
            assert_eq!(dir.names(), names, "{arguments}");
            assert_eq!(dir.left(), 0, "{arguments}");
        }
    }
    let kept = |name: &str| dir.path("outputs").join(name).join("A.qcow2").exists();
    assert!(["disks", "disks.2", "disks.3", "disks.4"]
        .into_iter()
        .all(kept));
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /dev/full")]
fn help_that_cannot_be_printed_is_an_error() {
    Dir::new()
        .shell("\"$0\" --help > /dev/full")
        .fails(1, "standard output: No space left on device (os error 28)");
}
