//! Several nodes, each of which writes to its own disk.

use std::env;
use std::process::Command;

/// Reads or writes the disk called `name` as a guest would.
fn qemu_io(name: &str, command: &str) {
    let disk = env::var(name).expect("the path of the disk");
    let status = Command::new("qemu-io")
        .args(["-f", "qcow2", "-c", command, &disk])
        .status();
    assert!(status.expect("qemu-io").success(), "{name}: {command}");
}

#[test]
fn each_node_has_a_disk_of_its_own() {
    qemu_io("NODE1", "write -P 1 1M 64k");
    qemu_io("NODE2", "write -P 2 1M 64k");
    qemu_io("NODE1", "read -P 1 1M 64k");
    qemu_io("NODE2", "read -P 2 1M 64k");
}

#[test]
fn a_blank_disk_is_blank_and_can_be_written_to() {
    qemu_io("SCRATCH", "read -P 0 9G 64k");
    qemu_io("SCRATCH", "write -P 3 9G 64k");
    qemu_io("SCRATCH", "read -P 3 9G 64k");
}
