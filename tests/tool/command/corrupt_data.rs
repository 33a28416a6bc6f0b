//! `convert` of images with corrupt tables or compressed clusters.

use std::fs;

use qcow2_overlay::Header;

use crate::common::Dir;
use crate::convert::data;

const CLUSTER: usize = 64 << 10;
/// Where `convert` puts the first L2 table and the first data cluster.
const L2: usize = CLUSTER;
const DATA: usize = 2 * CLUSTER;

/// Returns an image of 1 MiB, full of data, written with `options`.
fn image(options: &str) -> Vec<u8> {
    let dir = Dir::new();
    dir.write("disk.raw", &data(1 << 20));
    dir.tool(&format!("convert -q -o {options} disk.raw disk.qcow2"))
        .ok();
    dir.read("disk.qcow2")
}

fn put(image: &mut [u8], at: usize, value: u64) {
    image[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

/// Checks that `convert` of the image, of an overlay of it, and to an overlay of it, fails with
/// `message` and leaves nothing.
#[track_caller]
fn refused(image: &[u8], message: &str) {
    let dir = Dir::new();
    dir.write("disk.qcow2", image);
    dir.tool("create -q -b disk.qcow2 top.qcow2").ok();
    dir.sparse("blank.raw", 1 << 20);
    for (arguments, place) in [
        ("disk.qcow2", ""),
        ("-O raw disk.qcow2", ""),
        ("top.qcow2", "in \"disk.qcow2\": "),
    ] {
        let source = arguments.rsplit(' ').next().expect("a name");
        let about = format!("cannot convert {source:?} to \"x\": {place}{message}");
        dir.tool(&format!("convert {arguments} x")).fails(1, &about);
        assert_eq!(dir.names(), ["blank.raw", "disk.qcow2", "top.qcow2"]);
    }
    let about = "cannot convert \"blank.raw\" to \"x\": in the backing file: ";
    dir.tool("convert -B disk.qcow2 blank.raw x")
        .fails(1, &format!("{about}{message}"));
    assert_eq!(dir.names(), ["blank.raw", "disk.qcow2", "top.qcow2"]);
}

#[test]
fn the_tables_are_where_these_tests_change_them() {
    let image = image("compat=1.1");
    assert!(image[DATA..DATA + (1 << 20)] == data(1 << 20));
    assert_eq!(image[L2..L2 + 8], [0x80, 0, 0, 0, 0, 2, 0, 0]);
}

#[test]
fn refuses_an_unaligned_cluster() {
    let mut image = image("compat=1.1");
    put(&mut image, L2 + 8, 1 << 63 | (3 * CLUSTER + 512) as u64);
    refused(
        &image,
        "corrupt qcow2 image: offset of a cluster is 197120 (0x30200)",
    );
}

#[test]
fn refuses_a_cluster_beyond_the_end_of_the_file() {
    let mut image = image("compat=1.1");
    let length = image.len();
    put(&mut image, L2 + 8, 1 << 63 | length as u64);
    let message = format!(
        "truncated qcow2 image: a cluster ends at byte {}, the file at byte {length}",
        length + 1
    );
    refused(&image, &message);
}

#[test]
fn refuses_an_l2_table_that_is_unaligned_or_beyond_the_end() {
    let good = image("compat=1.1");
    let l1 = Header::parse(&good).expect("a header").l1_offset as usize;
    let mut image = good.clone();
    put(&mut image, l1, 1 << 63 | (CLUSTER + 512) as u64);
    refused(
        &image,
        "corrupt qcow2 image: offset of an L2 table is 66048 (0x10200)",
    );
    let mut image = good;
    let length = image.len();
    put(&mut image, l1, 1 << 63 | length as u64);
    let message = format!(
        "truncated qcow2 image: an L2 table ends at byte {}, the file at byte {length}",
        length + 4096
    );
    refused(&image, &message);
}

#[test]
fn refuses_a_zero_flag_in_version_2() {
    let mut image = image("compat=0.10");
    put(&mut image, L2 + 8, 1);
    let message = "corrupt qcow2 image: L2 entry of a version 2 image is 1 (0x1)";
    refused(&image, message);
}

#[test]
fn refuses_contradictory_subclusters() {
    let good = image("extended_l2=on");
    let mut image = good.clone();
    put(&mut image, L2 + 16 + 8, 0x0000_0001_0000_0001);
    let message = "corrupt qcow2 image: bitmap of an L2 entry is 4294967297 (0x100000001)";
    refused(&image, message);
    let mut image = good;
    put(&mut image, L2 + 16, 0);
    put(&mut image, L2 + 16 + 8, 4);
    refused(
        &image,
        "corrupt qcow2 image: bitmap of an L2 entry is 4 (0x4)",
    );
}

#[test]
fn refuses_a_damaged_compressed_cluster() {
    // Plain data, which is neither a deflate stream nor a zstd frame.
    for compression in [0, 1] {
        let mut image = image("compat=1.1");
        let sectors = 127;
        put(
            &mut image,
            L2 + 8,
            1 << 62 | sectors << 54 | (DATA + CLUSTER) as u64,
        );
        if compression == 1 {
            image[79] |= 8;
            image[104] = 1;
        }
        let message =
            "corrupt qcow2 image: the compressed cluster at guest offset 65536 (0x10000) \
 is damaged";
        refused(&image, message);
    }
}

/// Whatever the speed of the threads.
#[test]
fn of_several_damaged_clusters_the_first_is_named() {
    let dir = Dir::new();
    dir.write("disk.raw", &data(32 << 20));
    dir.tool("convert -q disk.raw good.qcow2").ok();
    let mut image = dir.read("good.qcow2");
    for cluster in [7, 8, 9, 24, 25, 100] {
        let offset = DATA + cluster * CLUSTER;
        put(&mut image, L2 + 8 * cluster, 1 << 62 | offset as u64);
    }
    dir.write("disk.qcow2", &image);
    let message = "cannot convert \"disk.qcow2\" to \"x\": corrupt qcow2 image: the compressed \
                   cluster at guest offset 458752 (0x70000) is damaged";
    for _ in 0..20 {
        dir.tool("convert disk.qcow2 x").fails(1, message);
    }
}

#[test]
fn a_truncated_last_cluster_ends_in_zeros() {
    // A file may end within its last cluster. QEMU reads zeros from there on.
    let dir = Dir::new();
    dir.write("disk.qcow2", &image("compat=1.1"));
    let good = dir.read("disk.qcow2");
    let end = good.len();
    let mut image = good;
    image.extend(data(512));
    put(&mut image, L2 + 8, 1 << 63 | end as u64);
    dir.write("disk.qcow2", &image);
    dir.tool("convert -q -O raw disk.qcow2 disk.raw").ok();
    let mut expected = data(1 << 20);
    expected[CLUSTER..2 * CLUSTER].fill(0);
    expected[CLUSTER..CLUSTER + 512].copy_from_slice(&data(512));
    assert!(fs::read(dir.path("disk.raw")).expect("read") == expected);
}
