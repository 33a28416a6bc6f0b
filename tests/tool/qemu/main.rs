//! The tool compared with the real `qemu-img` and `qemu-io`.

#[path = "../command/common.rs"]
mod common;

mod block_device;
mod broken;
mod concurrent;
mod doubtful;
mod exec;
mod guest_data;
mod holes;
mod info;
mod lifecycle;
mod locks;
mod mutations;
mod names;
mod provision;
mod random;
mod random_guest;
mod record;

use common::{Dir, Run};

/// Options of `qemu-img create` for an image with LUKS encryption.
const LUKS: &str =
    "--object secret,id=s,data=x -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";

impl Dir {
    /// Runs `qemu-img`, which must succeed, and returns its standard output.
    #[track_caller]
    fn qemu_img(&self, arguments: &str) -> String {
        self.try_qemu_img(arguments).ok()
    }

    /// Checks that `qemu-img check` finds no error; `what` says what the image is.
    #[track_caller]
    fn check(&self, name: &str, what: &str) {
        let said = self.qemu_img(&format!("check {name}"));
        assert!(said.starts_with("No errors were found"), "{what}: {said}");
    }

    fn try_qemu_img(&self, arguments: &str) -> Run {
        let run = |_| {
            let mut command = self.command("qemu-img");
            // The tool prints times in UTC, qemu-img in the local zone.
            command.env("TZ", "UTC");
            Run::of(command.args(arguments.split_whitespace()))
        };
        // On a busy machine QEMU 7.2 cannot tell how long its LUKS keys take.
        let is_told = |run: &Run| !run.stderr.contains("Unable to get accurate CPU usage");
        (0..10).map(run).find(is_told).expect("a quiet moment")
    }
}

/// Runs a command of `qemu-io`, which must succeed.
#[track_caller]
fn qemu_io(dir: &Dir, command: &str, image: &str) {
    let mut run = dir.command("qemu-io");
    Run::of(run.args(["-c", command, image])).ok();
}

/// Returns a raw base of 1 MiB.
fn with_base() -> Dir {
    let dir = Dir::new();
    dir.sparse("node.img", 1 << 20);
    dir
}

/// Returns bytes that differ from one sector to the next.
fn pattern(length: u32) -> Vec<u8> {
    (0..length).map(|i| (i / 512 + i) as u8).collect()
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

/// Checks that the tool and `qemu-img` create the same file with these arguments.
fn same_bytes(dir: &Dir, arguments: &str) {
    dir.qemu_img(&format!("create -q -f qcow2 {arguments}"));
    let theirs = dir.read("disk.qcow2");
    dir.remove("disk.qcow2");
    dir.tool(&format!("create -q -f qcow2 {arguments}")).ok();
    let ours = dir.read("disk.qcow2");
    assert!(ours == theirs, "other bytes with {arguments}");
    dir.remove("disk.qcow2");
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
fn every_cluster_size_and_refcount_width_passes_qemu_img_check() {
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
                dir.check("disk.qcow2", &options);
            }
        }
    }
}

#[test]
fn a_guest_writes_to_an_overlay_and_reads_the_rest_from_the_base() {
    let dir = Dir::new();
    let base = pattern(1 << 20);
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
        dir.check("disk.qcow2", options);
        dir.qemu_img("convert -f qcow2 -O raw disk.qcow2 flat.img");
        let mut expected = base.clone();
        expected[65000..68000].fill(0xab);
        expected.resize(2 << 20, 0);
        assert!(dir.read("flat.img") == expected, "{options}");
        assert!(dir.read("node.img") == base, "the base has changed");
    }
}

#[test]
fn an_encrypted_or_external_image_backs_its_clone() {
    let dir = with_base();
    dir.qemu_img(&format!("create -q -f qcow2 {LUKS} luks.qcow2 1M"));
    dir.qemu_img("create -q -f qcow2 -o data_file=data.img external.qcow2 1M");
    for overlay in ["luks.qcow2", "external.qcow2"] {
        let said = dir.tool(&format!("clone {overlay} clone.qcow2")).ok();
        assert!(said.contains("1 MiB overlay of"), "{said}");
        assert!(said.ends_with(&format!("/{overlay}\" (qcow2)\n")), "{said}");
        dir.remove("clone.qcow2");
    }
}

#[test]
fn writes_to_a_clone_do_not_change_the_overlay() {
    let dir = with_base();
    dir.tool("create -q -b node.img node.qcow2 1G").ok();
    let before = dir.read("node.qcow2");
    dir.mkdir("sub");
    for disk in ["sub/a.qcow2", "sub/b.qcow2"] {
        dir.tool(&format!("clone node.qcow2 {disk}")).ok();
        qemu_io(&dir, "write -P 1 0 1M", disk);
        dir.check(disk, disk);
    }
    assert!(dir.read("node.qcow2") == before);
}
