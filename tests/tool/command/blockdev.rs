//! `blockdev`: the value for QEMU's `-blockdev` of any image.

use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};

use serde_json::{json, Value};

use crate::common::{overlay, tool, Dir, Run};
use crate::exec;

/// Returns the value that the tool prints with the words of `arguments`.
#[track_caller]
fn value(dir: &Dir, arguments: &str) -> Value {
    let said = dir.tool(&format!("blockdev {arguments}")).ok();
    assert_eq!(said.lines().count(), 1, "{said}");
    serde_json::from_str(&said).expect("JSON")
}

#[test]
fn the_value_of_a_clone_is_that_of_a_disk_of_exec() {
    let dir = overlay();
    dir.tool("clone node.qcow2 disk.qcow2").ok();
    let [disk, base] =
        ["disk.qcow2", "node.img"].map(|name| fs::canonicalize(dir.path(name)).expect("a path"));
    let expected = exec::blockdev("A", disk.to_str().expect("UTF-8"), &base);
    assert_eq!(value(&dir, "--node-name A disk.qcow2"), expected);
    // By another path.
    symlink("disk.qcow2", dir.path("link")).expect("symlink");
    assert_eq!(value(&dir, "--node-name A link"), expected);
}

#[test]
fn a_raw_image_and_a_blank_disk_have_a_value_too() {
    let dir = overlay();
    let path = fs::canonicalize(dir.path("node.img")).expect("a path");
    let mut expected = json!({
        "driver": "raw",
        "node-name": "disk",
        "file": {"driver": "file", "filename": path},
        "cache": {"no-flush": true},
        "discard": "unmap",
    });
    assert_eq!(value(&dir, "node.img"), expected);
    let expected = expected.as_object_mut().expect("an object");
    for (key, of_file) in [("read-only", true), ("cache", false), ("discard", false)] {
        expected.remove(key);
        if of_file {
            expected.insert(key.to_owned(), true.into());
            expected["file"][key] = true.into();
        }
    }
    assert_eq!(value(&dir, "--read-only node.img"), json!(expected));
    dir.tool("create -q -o compat=0.10 blank.qcow2 1M").ok();
    let blank = value(&dir, "blank.qcow2");
    assert_eq!(blank["backing"], Value::Null);
    assert!(blank.get("discard").is_none());
    assert!(blank
        .as_object()
        .expect("an object")
        .contains_key("backing"));
}

#[test]
fn a_build_output_is_only_for_reading() {
    let dir = overlay();
    let protected = fs::Permissions::from_mode(0o555);
    fs::set_permissions(dir.path("node.qcow2"), protected).expect("chmod");
    let advice = "is write-protected or in the runfiles of a test: give --read-only, or make a \
                  writable disk of it with qcow2-overlay clone";
    dir.tool("blockdev node.qcow2")
        .fails(1, &format!("\"node.qcow2\" {advice}"));
    assert_eq!(value(&dir, "--read-only node.qcow2")["read-only"], true);
    // A remote worker does not protect them.
    dir.shell("mkdir -p runfiles/_main && cp node.img runfiles/_main")
        .ok();
    for variable in ["RUNFILES_DIR", "TEST_SRCDIR"] {
        let run = |arguments: &[&str]| {
            let mut command = dir.command(tool());
            for name in ["RUNFILES_DIR", "TEST_SRCDIR"] {
                command.env_remove(name);
            }
            command.env(variable, "runfiles").arg("blockdev");
            Run::of(command.args(arguments))
        };
        let file = "runfiles/_main/node.img";
        run(&[file]).fails(1, &format!("{file:?} {advice}"));
        run(&["--read-only", file]).ok();
        run(&["node.img"]).ok();
    }
}

#[test]
fn refuses_a_wrong_name_and_a_wrong_image() {
    let dir = overlay();
    for name in ["1", "a/b", "_a", &"a".repeat(32)] {
        let letters = "give a letter, then up to 30 letters, digits and - . _";
        dir.tool(&format!("blockdev --node-name {name} node.img"))
            .fails(2, &format!("--node-name {name:?}: {letters}"));
    }
    value(
        &dir,
        &format!("--node-name a-b._{} node.img", "c".repeat(26)),
    );
    let gone = "No such file or directory (os error 2)";
    dir.tool("blockdev gone")
        .fails(1, &format!("\"gone\": {gone}"));
    dir.tool("clone node.qcow2 disk.qcow2").ok();
    dir.write("node.img", &[1; 4096]);
    let run = dir.tool("blockdev disk.qcow2");
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.contains("has changed"), "{}", run.stderr);
}
