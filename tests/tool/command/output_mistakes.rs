//! Outputs that cannot be written: one line, a status, and nothing left or lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{create_fails, tool, Dir, Run};

#[test]
fn an_output_that_exists() {
    let dir = Dir::new();
    dir.write("x", b"precious");
    dir.tool("create x 1G")
        .fails(1, "\"x\" exists; --force replaces it");
    fs::set_permissions(dir.path("x"), fs::Permissions::from_mode(0o555)).expect("chmod");
    dir.tool("create --force x 1G")
        .fails(1, "cannot write \"x\": it exists and is write-protected");
    assert_eq!(dir.read("x"), b"precious");
    fs::create_dir(dir.path("d")).expect("mkdir");
    dir.tool("create --force d 1G")
        .fails(1, "cannot write \"d\": it exists and is not a regular file");
    assert_eq!(dir.names(), ["d", "x"]);
}

#[test]
fn an_output_that_is_its_own_base() {
    let dir = Dir::new();
    dir.sparse("node.img", 512);
    dir.tool("create -q -b node.img v1").ok();
    fs::create_dir(dir.path("sub")).expect("mkdir");
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
    // Nothing of it is there yet.
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
fn an_output_that_cannot_be_written() {
    create_fails(
        "gone/x 1G",
        1,
        "cannot write \"gone/x\": No such file or directory (os error 2)",
    );
    let dir = Dir::new();
    let mut command = dir.command("sh");
    command
        .args(["-c", "exec \"$0\" create - 1G > /dev/full"])
        .arg(tool());
    Run::of(&mut command).fails(1, "standard output: No space left on device (os error 28)");
}

#[test]
fn a_closed_standard_output_is_no_image() {
    let dir = Dir::new();
    let mut command = dir.command("sh");
    command
        .args(["-c", "exec \"$0\" create - 1G >&-"])
        .arg(tool());
    Run::of(&mut command).fails(
        1,
        "standard output is closed; give the name of a file, or redirect it",
    );
    let mut command = dir.command("sh");
    command
        .args(["-c", "exec \"$0\" create - 1G > /dev/null"])
        .arg(tool());
    Run::of(&mut command).ok();
}

#[test]
fn a_file_of_which_nothing_can_be_said_is_not_left() {
    let dir = Dir::new();
    dir.tool("create -q node.qcow2 1G").ok();
    for arguments in ["create y 1G", "clone node.qcow2 y"] {
        let mut command = dir.command("sh");
        let script = format!("exec \"$0\" {arguments} > /dev/full");
        command.args(["-c", &script]).arg(tool());
        Run::of(&mut command).fails(1, "standard output: No space left on device (os error 28)");
        assert_eq!(dir.names(), ["node.qcow2"]);
    }
    // But one that was there before stays.
    dir.tool("clone node.qcow2 y").ok();
    let mut command = dir.command("sh");
    command
        .args(["-c", "exec \"$0\" clone node.qcow2 y > /dev/full"])
        .arg(tool());
    Run::of(&mut command).fails(1, "standard output: No space left on device (os error 28)");
    assert_eq!(dir.names(), ["node.qcow2", "y"]);
}

#[test]
fn a_closed_standard_output_is_no_panic() {
    let dir = Dir::new();
    let mut command = dir.command("sh");
    command
        .args(["-c", "\"$0\" --help > /dev/full"])
        .arg(tool());
    Run::of(&mut command).fails(1, "standard output: No space left on device (os error 28)");
}
