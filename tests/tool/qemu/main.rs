//! The tool against the real `qemu-img` and `qemu-io`.

#[path = "../command/common.rs"]
mod common;
mod doubtful;
mod exec;
mod guest_data;
mod holes;
mod lifecycle;
mod locks;
mod mutations;
mod names;
mod provision;
mod random;
mod random_guest;
mod record;

mod broken;
mod info;

use std::fs;

use common::{Dir, Run};

impl Dir {
    fn qemu_img(&self, arguments: &str) -> String {
        self.try_qemu_img(arguments).ok()
    }

    fn try_qemu_img(&self, arguments: &str) -> Run {
        let mut command = self.command("qemu-img");
        // The tool gives times in UTC, qemu-img in the local zone.
        command.env("TZ", "UTC");
        Run::of(command.args(arguments.split_whitespace()))
    }
}

fn qemu_io(dir: &Dir, command: &str, image: &str) {
    let mut run = dir.command("qemu-io");
    Run::of(run.args(["-c", command, image])).ok();
}

/// A directory with a base of 1 MiB.
fn with_base() -> Dir {
    let dir = Dir::new();
    dir.sparse("node.img", 1 << 20);
    dir
}

const SIZES: [&str; 12] = [
    "1M",
    "1536K",
    "512M",
    "536871424",
    "1G",
    "5G",
    "20G",
    "100G",
    "1T",
    "35T",
    "512T",
    "1P",
];

/// Runs `create` with the same arguments in both and compares the files.
fn same_bytes(dir: &Dir, arguments: &str) {
    dir.qemu_img(&format!("create -q -f qcow2 {arguments}"));
    let theirs = dir.read("disk.qcow2");
    fs::remove_file(dir.path("disk.qcow2")).expect("remove");
    dir.tool(&format!("create -q -f qcow2 {arguments}")).ok();
    let ours = dir.read("disk.qcow2");
    assert!(ours == theirs, "other bytes with {arguments}");
    fs::remove_file(dir.path("disk.qcow2")).expect("remove");
}

#[test]
fn overlays_have_the_bytes_of_qemu_img() {
    let dir = with_base();
    for size in SIZES {
        same_bytes(&dir, &format!("-b node.img -F raw disk.qcow2 {size}"));
        for compat in ["0.10", "1.1"] {
            let options = format!("-o compat={compat} -b node.img -F raw");
            same_bytes(&dir, &format!("{options} disk.qcow2 {size}"));
        }
    }
    same_bytes(&dir, "-b node.img -F raw disk.qcow2");
}

#[test]
fn blank_disks_have_the_bytes_of_qemu_img() {
    let dir = Dir::new();
    for size in SIZES.iter().chain(&["0", "512", "1000"]) {
        for compat in ["0.10", "1.1"] {
            same_bytes(&dir, &format!("-o compat={compat} disk.qcow2 {size}"));
        }
    }
}

#[test]
fn options_give_the_bytes_of_qemu_img() {
    let dir = with_base();
    for cluster_size in ["16K", "32K", "64K", "128K", "256K", "512K", "1M", "2M"] {
        for extra in ["", ",lazy_refcounts=on", ",extended_l2=on", ",compat=0.10"] {
            let options = format!("-o cluster_size={cluster_size}{extra}");
            same_bytes(
                &dir,
                &format!("{options} -b node.img -F raw disk.qcow2 100G"),
            );
        }
    }
}

#[test]
fn every_cluster_size_and_refcount_width_is_clean() {
    let dir = with_base();
    for bits in 9..=21 {
        let cluster_size = 1u64 << bits;
        // The largest disk has the largest tables.
        let limit = (4 << 20) * cluster_size * (cluster_size / 8);
        for (options, sizes) in [
            ("compat=0.10", [1 << 20, limit]),
            ("compat=1.1", [1 << 20, limit]),
            ("compat=1.1,refcount_bits=1", [1 << 20, limit]),
            ("compat=1.1,refcount_bits=64", [1 << 20, limit]),
        ] {
            for size in sizes {
                let options = format!("{options},cluster_size={cluster_size}");
                let create = "create -q --force -b node.img -F raw -o";
                dir.tool(&format!("{create} {options} disk.qcow2 {size}"))
                    .ok();
                let said = dir.qemu_img("check disk.qcow2");
                assert!(
                    said.starts_with("No errors were found"),
                    "{options}: {said}"
                );
            }
        }
    }
}

#[test]
fn a_guest_writes_into_an_overlay_and_reads_the_rest_from_the_base() {
    let dir = Dir::new();
    let base: Vec<u8> = (0..1 << 20).map(|i: u32| (i / 512 + i) as u8).collect();
    dir.write("node.img", &base);
    for options in [
        "compat=0.10",
        "compat=1.1",
        "cluster_size=512",
        "extended_l2=on",
    ] {
        dir.tool(&format!(
            "create -q --force -o {options} -b node.img disk.qcow2 2M"
        ))
        .ok();
        dir.qemu_img("compare -f qcow2 -F raw disk.qcow2 node.img");
        qemu_io(&dir, "write -P 0xab 65000 3000", "disk.qcow2");
        dir.qemu_img("check disk.qcow2");
        dir.qemu_img("convert -f qcow2 -O raw disk.qcow2 flat.img");
        let mut expected = base.clone();
        expected[65000..68000].fill(0xab);
        expected.resize(2 << 20, 0);
        assert!(dir.read("flat.img") == expected, "{options}");
        assert!(dir.read("node.img") == base, "the base is as it was");
    }
}

#[test]
fn a_clone_stands_on_what_it_cannot_be_like() {
    let dir = with_base();
    let secret = "--object secret,id=s,data=x -o encrypt.format=luks,encrypt.key-secret=s";
    dir.qemu_img(&format!("create -q -f qcow2 {secret} luks.qcow2 1M"));
    dir.qemu_img("create -q -f qcow2 -o data_file=data.img external.qcow2 1M");
    for overlay in ["luks.qcow2", "external.qcow2"] {
        let said = dir.tool(&format!("clone {overlay} clone.qcow2")).ok();
        assert!(said.contains("1 MiB overlay of"), "{said}");
        assert!(said.ends_with(&format!("/{overlay}\" (qcow2)\n")), "{said}");
        fs::remove_file(dir.path("clone.qcow2")).expect("remove");
    }
}

#[test]
fn a_clone_is_a_disk_of_its_own() {
    let dir = with_base();
    dir.tool("create -q -b node.img node.qcow2 1G").ok();
    let before = dir.read("node.qcow2");
    fs::create_dir(dir.path("sub")).expect("mkdir");
    for disk in ["sub/a.qcow2", "sub/b.qcow2"] {
        dir.tool(&format!("clone node.qcow2 {disk}")).ok();
        qemu_io(&dir, "write -P 1 0 1M", disk);
        dir.qemu_img(&format!("check {disk}"));
    }
    assert!(dir.read("node.qcow2") == before);
}
