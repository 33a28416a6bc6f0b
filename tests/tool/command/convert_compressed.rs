//! `convert -c`: compressed images.

use std::fs;
use std::os::unix::fs::MetadataExt;

use qcow2_overlay::Header;

use crate::common::{sha256, Dir};
use crate::convert::{data, read};
use crate::convert_mistakes::{images, refused};

/// Returns `length` pseudorandom bytes, which cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut byte = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// Returns a disk of text, noise, both in one cluster, and zeros, which ends within a cluster.
fn mixed() -> Vec<u8> {
    let lines = (0..60_000u64).map(|i| format!("{i} squared is {}\n", i * i));
    let text = lines.collect::<String>().into_bytes();
    let zeros = vec![0; 3_000_000];
    let both = [&text[..100_000], &noise(30_000)].concat();
    let disk = [&text[..], &noise(300_000), &both, &zeros, &text, &[7; 999]].concat();
    disk[..disk.len() / 512 * 512].to_vec()
}

/// Returns how many bytes a file takes on disk.
fn taken(dir: &Dir, name: &str) -> u64 {
    fs::metadata(dir.path(name)).expect("metadata").blocks() * 512
}

#[test]
fn the_image_is_smaller_and_has_the_same_content() {
    let dir = Dir::new();
    let disk = mixed();
    dir.write("disk.raw", &disk);
    dir.tool("convert -q disk.raw plain.qcow2").ok();
    for options in [
        "",
        "-o compression_type=zstd",
        "-o compat=0.10",
        "-o cluster_size=512",
        "-o cluster_size=2M,refcount_bits=64,compression_type=zstd",
        "-o extended_l2=on,compression_type=zstd",
    ] {
        let said = dir.tool(&format!("convert -c --force {options} disk.raw disk.qcow2"));
        assert_eq!(said.ok(), "Wrote \"disk.qcow2\": 6.37 MiB disk\n");
        assert!(read(&dir, "disk.qcow2") == disk, "{options}");
        let (plain, compressed) = (taken(&dir, "plain.qcow2"), taken(&dir, "disk.qcow2"));
        assert!(
            compressed < plain * 9 / 10,
            "{options}: {compressed}, not {plain}"
        );
        let header = Header::parse(&dir.read("disk.qcow2")).expect("a header");
        let is_zstd = options.contains("zstd");
        assert_eq!(header.compression, u8::from(is_zstd));
        assert_eq!(header.has_incompatible(Header::COMPRESSION_TYPE), is_zstd);
        let length = dir.read("disk.qcow2").len() as u64;
        assert_eq!(length % header.cluster_size(), 0, "not padded");
    }
}

/// Other versions of the encoders may give other bytes. Then put those here, and say so in the
/// changelog: whoever caches or signs images sees it.
#[test]
fn the_bytes_are_those_of_the_versions_of_the_encoders() {
    let dir = Dir::new();
    dir.write("disk.raw", &mixed());
    for (options, expected) in [
        (
            "cluster_size=64K",
            "290c5bfcaaf14a9cc235152ca55606988b4317c51ab0ff84b6c5ee7b658b081c",
        ),
        (
            "cluster_size=4K",
            "421e5bb6defec876c2ad03eead30dd9a4f2d191970ce99e906b23512a2b81f2f",
        ),
        (
            "cluster_size=2M",
            "d095ec45f3431651c021113bb1a29b6f6392a4c09b0515f98c9ebb6e8fc5adbe",
        ),
        (
            "cluster_size=64K,compression_type=zstd",
            "21e1d9290bcd3c76eea0225a68be4077de9de6d39f0ea4efef3e58ff51d38cd6",
        ),
        (
            "cluster_size=4K,compression_type=zstd",
            "0a267b356af3e3d7d2af7bb532e3b5d49e5c4acbc81e671e4a697cb7d02c1ba0",
        ),
        (
            "cluster_size=2M,compression_type=zstd",
            "a28956e0ccbdafeb4d24ab96a6ee00c02f9948388f7066a9b5a27414c56592ab",
        ),
    ] {
        dir.tool(&format!(
            "convert -q -c --force -o {options} disk.raw disk.qcow2"
        ))
        .ok();
        assert_eq!(sha256(&dir.read("disk.qcow2")), expected, "{options}");
    }
}

#[test]
fn what_does_not_get_smaller_is_stored_as_it_is() {
    let dir = Dir::new();
    dir.write("disk.raw", &noise(1 << 20));
    for options in [
        "-o compression_type=zlib",
        "-o cluster_size=4K,extended_l2=off",
    ] {
        dir.tool(&format!(
            "convert -q --force {options} disk.raw plain.qcow2"
        ))
        .ok();
        dir.tool(&format!(
            "convert -q --force -c {options} disk.raw disk.qcow2"
        ))
        .ok();
        assert!(
            dir.read("disk.qcow2") == dir.read("plain.qcow2"),
            "{options}"
        );
    }
}

#[test]
fn an_overlay_holds_what_differs_from_its_base() {
    let dir = Dir::new();
    let mut disk = mixed();
    dir.write("base.raw", &disk);
    for place in [10, 400_000, 2_000_000] {
        disk[place..place + 70_000].copy_from_slice(&data(70_000));
    }
    disk[800_000..900_000].fill(0);
    dir.write("disk.raw", &disk);
    for options in [
        "",
        "-o compat=0.10",
        "-o compression_type=zstd,extended_l2=on",
    ] {
        let convert = format!("convert -q -c --force -B base.raw {options} disk.raw disk.qcow2");
        dir.tool(&convert).ok();
        assert!(read(&dir, "disk.qcow2") == disk, "{options}");
        assert!(taken(&dir, "disk.qcow2") < 14 << 16, "{options}");
    }
}

#[test]
fn refuses_what_cannot_be_compressed() {
    let dir = images();
    refused(
        &dir,
        "-c -O raw disk.raw x",
        2,
        "a raw image cannot be compressed: leave out -c or -O raw",
    );
    refused(
        &dir,
        "-c -o compression_type=lzma disk.raw x",
        2,
        "-o \"compression_type\": \"lzma\" is neither zlib nor zstd",
    );
    refused(
        &dir,
        "-c -o compat=0.10,compression_type=zstd disk.raw x",
        1,
        "cannot convert \"disk.raw\" to \"x\": compression_type=zstd needs compat=1.1",
    );
}
