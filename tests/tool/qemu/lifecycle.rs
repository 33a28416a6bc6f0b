//! QEMU writes, resizes, snapshots, commits and rebases our images, with each set of options.

use crate::common::Dir;
use crate::{pattern, qemu_io};

const OPTION_SETS: [&str; 9] = [
    "compat=1.1",
    "compat=0.10",
    "cluster_size=512",
    "cluster_size=4K,refcount_bits=1",
    "cluster_size=2M",
    "refcount_bits=64",
    "lazy_refcounts=on",
    "extended_l2=on",
    "extended_l2=on,cluster_size=2M,refcount_bits=8,lazy_refcounts=on",
];

const SIZE: usize = 4 << 20;

/// Returns an overlay, `disk.qcow2`, of 4 MiB with a raw base of 1 MiB, and what a guest reads.
fn overlay(options: &str) -> (Dir, Vec<u8>) {
    let dir = Dir::new();
    let mut guest = pattern(1 << 20);
    dir.write("base.img", &guest);
    dir.tool(&format!("create -q -o {options} -b base.img disk.qcow2 4M"))
        .ok();
    guest.resize(SIZE, 0);
    (dir, guest)
}

/// Checks that the image is clean, and that a guest reads `expected` from it.
#[track_caller]
fn reads(dir: &Dir, expected: &[u8], options: &str) {
    dir.check("disk.qcow2", options);
    dir.qemu_img("convert -O raw disk.qcow2 flat.img");
    assert!(dir.read("flat.img") == expected, "{options}");
}

#[test]
fn qemu_writes_zeroes_and_discards() {
    for options in OPTION_SETS {
        let (dir, mut guest) = overlay(options);
        qemu_io(&dir, "write -P 1 300000 1500000", "disk.qcow2");
        guest[300_000..1_800_000].fill(1);
        reads(&dir, &guest, options);
        qemu_io(&dir, "write -z 100000 1000000", "disk.qcow2");
        guest[100_000..1_100_000].fill(0);
        reads(&dir, &guest, options);
        qemu_io(&dir, "write -P 2 3M 1M", "disk.qcow2");
        guest[3 << 20..].fill(2);
        reads(&dir, &guest, options);
        // In version 2 QEMU ignores a discard if there is a backing file (`block/qcow2.c`,
        // `qcow2_co_pdiscard`).
        if options != "compat=0.10" {
            qemu_io(&dir, "discard 2M 2M", "disk.qcow2");
            guest[2 << 20..].fill(0);
            reads(&dir, &guest, options);
        }
    }
}

#[test]
fn qemu_resizes_an_image() {
    for options in OPTION_SETS {
        let (dir, mut guest) = overlay(options);
        dir.qemu_img("resize -q disk.qcow2 9M");
        guest.resize(9 << 20, 0);
        qemu_io(&dir, "write -P 3 8M 1M", "disk.qcow2");
        guest[8 << 20..].fill(3);
        reads(&dir, &guest, options);
        dir.qemu_img("resize -q --shrink disk.qcow2 1M");
        guest.truncate(1 << 20);
        reads(&dir, &guest, options);
    }
}

#[test]
fn qemu_takes_and_applies_snapshots() {
    for options in OPTION_SETS {
        // A refcount of one bit cannot count a cluster that a snapshot shares.
        if options.contains("refcount_bits=1") {
            continue;
        }
        let (dir, mut guest) = overlay(options);
        let before = guest.clone();
        dir.qemu_img("snapshot -c before disk.qcow2");
        qemu_io(&dir, "write -P 4 0 2M", "disk.qcow2");
        guest[..2 << 20].fill(4);
        reads(&dir, &guest, options);
        dir.qemu_img("snapshot -a before disk.qcow2");
        reads(&dir, &before, options);
        dir.qemu_img("snapshot -d before disk.qcow2");
        reads(&dir, &before, options);
    }
}

#[test]
fn qemu_commits_an_image_to_its_base() {
    for options in OPTION_SETS {
        let (dir, mut guest) = overlay(options);
        qemu_io(&dir, "write -P 5 500000 100000", "disk.qcow2");
        guest[500_000..600_000].fill(5);
        dir.qemu_img("commit -q disk.qcow2");
        reads(&dir, &guest, options);
        assert!(dir.read("base.img") == guest, "{options}");
    }
}

#[test]
fn qemu_rebases_an_image() {
    for options in OPTION_SETS {
        let (dir, guest) = overlay(options);
        let mut other = dir.read("base.img");
        other[..64 << 10].fill(6);
        dir.write("other.img", &other);
        // What differs between the bases moves into the overlay.
        dir.qemu_img("rebase -F raw -b other.img disk.qcow2");
        reads(&dir, &guest, options);
    }
}
