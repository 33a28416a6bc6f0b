//! Disks opened from Rust.

use std::path::PathBuf;
use std::process::Command;

use runfiles::{rlocation, Runfiles};

/// The path of an image in the runfiles.
fn disk(path: &str) -> PathBuf {
    let runfiles = Runfiles::create().expect("runfiles");
    rlocation!(runfiles, path).expect("the disk is in data")
}

/// The output of `qemu-img info` for an image and its backing chain.
fn info(path: PathBuf) -> String {
    let command = Command::new("qemu-img")
        .args(["info", "--backing-chain"])
        .arg(path)
        .output();
    let output = command.expect("qemu-img");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_chain_is_as_large_as_its_top() {
    let info = info(disk("consumer/vm/upgraded.qcow2"));
    let images: Vec<&str> = info.split("\n\n").collect();
    assert_eq!(images.len(), 3);
    assert!(images[0].contains("virtual size: 40 GiB"));
    assert!(images[2].contains("virtual size: 8 MiB"));
}

#[test]
fn a_disk_has_the_options_of_its_target() {
    let info = info(disk("consumer/vm/debug_database.qcow2"));
    assert!(info.contains("extended l2: true"), "{info}");
}
