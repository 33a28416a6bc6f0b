//! Images on block devices. The tests need loop devices, which root can attach on most machines.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::common::{skip, Dir, Run};
use crate::info::same;
use crate::pattern;

/// A loop device that has a file as its content.
struct LoopDevice(String);

impl LoopDevice {
    /// Attaches a file to a free device; none if this machine or this user cannot.
    fn attach(dir: &Dir, name: &str) -> Option<Self> {
        let mut losetup = dir.command("losetup");
        let output = losetup.args(["--find", "--show", name]).output();
        let why = match output.map(Run::from) {
            Ok(run) if run.status == Some(0) => {
                return Some(LoopDevice(run.ok().trim().to_owned()));
            }
            Ok(run) => run.stderr,
            Err(error) => format!("losetup: {error}"),
        };
        skip(&why);
        None
    }

    fn open(&self) -> File {
        let device = OpenOptions::new().write(true).open(&self.0);
        device.expect("a device")
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let detach = ["--detach", &self.0];
        let _ = std::process::Command::new("losetup").args(detach).status();
    }
}

/// Returns a device of 1 MiB, and an overlay of it.
fn device() -> Option<(Dir, LoopDevice)> {
    let dir = Dir::new();
    dir.write("node.img", &pattern(1 << 20));
    let device = LoopDevice::attach(&dir, "node.img")?;
    dir.tool(&format!("create -q -b {} node.qcow2", device.0))
        .ok();
    Some((dir, device))
}

#[test]
fn info_describes_a_device_as_qemu_img_does() {
    let Some((dir, device)) = device() else {
        return;
    };
    same(&dir, &device.0);
    same(&dir, "node.qcow2");
    // A qcow2 image can be on a device, too.
    dir.qemu_img(&format!("create -q -f qcow2 {} 512K", device.0));
    same(&dir, &device.0);
}

#[test]
fn a_device_without_a_size_is_refused() {
    let Some((dir, device)) = device() else {
        return;
    };
    // As on macOS, where the end of every device is at 0.
    let empty = dir.path("empty");
    std::fs::File::create(&empty).expect("create");
    let Some(none) = LoopDevice::attach(&dir, "empty") else {
        return;
    };
    drop(device);
    let message = "it is a block device whose size is not known: copy it to a file";
    let name = &none.0;
    dir.tool(&format!("create -b {name} x.qcow2"))
        .fails(1, &format!("backing file {name:?}: {message}"));
    dir.tool(&format!("convert -f raw {name} x.qcow2"))
        .fails(1, &format!("{name:?}: {message}"));
    assert!(!dir.path("x.qcow2").exists());
}

#[test]
fn a_disk_is_backed_by_a_device() {
    let Some((dir, _device)) = device() else {
        return;
    };
    let script = "\"$0\" exec --disk A=node.qcow2 -- \
                  sh -c 'qemu-img convert -O raw \"json:$A_BLOCKDEV\" flat.img'";
    dir.shell(script).ok();
    assert!(dir.read("flat.img") == pattern(1 << 20));
}

#[test]
fn what_is_written_by_the_node_of_a_device_is_a_change() {
    let Some((dir, device)) = device() else {
        return;
    };
    dir.tool("clone node.qcow2 disk.qcow2").ok();
    dir.tool("clone disk.qcow2 same.qcow2").ok();
    device.open().write_all_at(&[7; 512], 4096).expect("write");
    let changed = "has changed since \"disk.qcow2\" was written (modified at ";
    for command in [
        "clone disk.qcow2 x",
        "convert disk.qcow2 x",
        "exec --disk A=disk.qcow2 -- true",
    ] {
        let run = dir.tool(command);
        assert!(run.stderr.contains(changed), "{}", run.stderr);
        assert_eq!(run.status, Some(1));
    }
}
