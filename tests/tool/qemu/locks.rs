//! The tool does not replace a disk that a running QEMU has open.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use crate::common::Dir;
use crate::with_base;

/// A qemu-io that has an image open until it is dropped.
struct Running(Child);

impl Running {
    fn new(dir: &Dir, arguments: &[&str]) -> Self {
        let mut command = dir.command("qemu-io");
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("qemu-io starts");
        // When it answers, it has the image open.
        let stdin = child.stdin.as_mut().expect("its standard input");
        stdin.write_all(b"length\n").expect("write");
        let mut stdout = BufReader::new(child.stdout.as_mut().expect("its standard output"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("read");
        assert!(line.contains("MiB"), "{line}");
        Running(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stdin = None; // the end of its commands
        let _ = self.0.wait();
    }
}

#[test]
fn an_open_disk_is_not_replaced() {
    let dir = with_base();
    dir.tool("create -q -b node.img node.qcow2 2M").ok();
    dir.tool("clone node.qcow2 disk.qcow2").ok();
    let before = dir.read("disk.qcow2");
    for mode in [&["disk.qcow2"][..], &["-r", "disk.qcow2"]] {
        let running = Running::new(&dir, mode);
        let message = "cannot write \"disk.qcow2\": a running QEMU has it open";
        dir.tool("create --force disk.qcow2 1G").fails(1, message);
        dir.tool("clone --force node.qcow2 disk.qcow2")
            .fails(1, message);
        drop(running);
        assert!(dir.read("disk.qcow2") == before);
    }
    dir.tool("clone --force node.qcow2 disk.qcow2").ok();
    // The base of an open disk is open, too.
    let running = Running::new(&dir, &["disk.qcow2"]);
    dir.tool("create --force node.img 1M")
        .fails(1, "cannot write \"node.img\": a running QEMU has it open");
    // But more disks can be backed by it.
    dir.tool("clone node.qcow2 other.qcow2").ok();
    drop(running);
}

#[test]
fn refuses_a_base_that_is_open_for_writing() {
    let dir = with_base();
    dir.tool("create -q -b node.img node.qcow2 2M").ok();
    dir.tool("create -q -b node.qcow2 top.qcow2").ok();
    let being_written =
        |file: &str| format!("a running QEMU has {file:?} open for writing; stop it first");
    let running = Running::new(&dir, &["node.qcow2"]);
    dir.tool("clone node.qcow2 disk.qcow2").fails(
        1,
        &format!("\"node.qcow2\": {}", being_written("node.qcow2")),
    );
    dir.tool("exec --disk A=top.qcow2 -- true").fails(
        1,
        &format!("disk A: \"top.qcow2\": {}", being_written("node.qcow2")),
    );
    drop(running);
    let running = Running::new(&dir, &["-f", "raw", "node.img"]);
    dir.tool("clone node.qcow2 disk.qcow2")
        .fails(1, &format!("\"node.qcow2\": {}", being_written("node.img")));
    drop(running);
    dir.tool("clone node.qcow2 disk.qcow2").ok();
}
