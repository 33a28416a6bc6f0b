//! Unusual images: the tool reads them as QEMU does, and refuses those that QEMU refuses.

use std::fs;

use qcow2_overlay::{Extension, Header};

use crate::common::{Dir, Run};
use crate::info::{json_of, patch, same};
use crate::{qemu_io, with_base, LUKS};

/// Writes a copy of disk.qcow2 to `name`, with its header changed by `change`.
fn change(dir: &Dir, name: &str, change: impl FnOnce(&mut Header)) {
    let mut image = dir.read("disk.qcow2");
    let mut header = Header::parse(&image).expect("a header");
    change(&mut header);
    let bytes = header.encode();
    image[..bytes.len()].copy_from_slice(&bytes);
    dir.write(name, &image);
}

fn extension(kind: u32, data: &[u8]) -> Extension {
    let data = data.to_vec();
    Extension { kind, data }
}

/// Returns a qcow2 image, `inner.qcow2`, and an overlay of it, `disk.qcow2`.
fn overlay_of_a_nested_image() -> Dir {
    let dir = Dir::new();
    dir.qemu_img("create -q -f qcow2 inner.qcow2 1M");
    qemu_io(&dir, "write -P 7 0 64k", "inner.qcow2");
    dir.tool("create -q -b inner.qcow2 -F qcow2 disk.qcow2 1M")
        .ok();
    dir
}

#[test]
fn the_last_extension_of_a_type_counts() {
    let dir = overlay_of_a_nested_image();
    let with_formats = |formats: [&[u8]; 2]| {
        change(&dir, "two.qcow2", |header| {
            let all = formats.map(|format| extension(Extension::BACKING_FORMAT, format));
            header.extensions = all.into();
        });
        same(&dir, "two.qcow2");
        dir.qemu_img("convert -f qcow2 -O raw two.qcow2 flat.img");
        dir.read("flat.img")[0]
    };
    assert_eq!(with_formats([b"raw", b"qcow2"]), 7);
    dir.tool("clone two.qcow2 clone.qcow2").ok();
    dir.qemu_img("compare two.qcow2 clone.qcow2");
    assert_eq!(with_formats([b"qcow2", b"raw"]), b'Q');
    let run = dir.tool("clone two.qcow2 other.qcow2");
    assert!(run.stderr.contains("not a raw one"), "{}", run.stderr);
}

#[test]
fn stored_names_end_at_a_nul() {
    let dir = overlay_of_a_nested_image();
    dir.qemu_img("snapshot -c a-name inner.qcow2");
    dir.qemu_img("bitmap --add inner.qcow2 a-bitmap");
    let image = dir.read("inner.qcow2");
    for (name, length) in [(&b"a-name"[..], 2), (b"a-bitmap", 3)] {
        let mut windows = image.windows(name.len());
        let at = windows.position(|w| w == name).expect("the name");
        patch(&dir, "inner.qcow2", at + length, b"\0");
    }
    same(&dir, "inner.qcow2");
    change(&dir, "nul.qcow2", |header| {
        header.backing_name = Some(b"inner.qcow2\0.img".to_vec());
        header.extensions = vec![extension(Extension::BACKING_FORMAT, b"qcow2\0raw")];
    });
    same(&dir, "nul.qcow2");
    dir.tool("clone nul.qcow2 clone.qcow2").ok();
    dir.qemu_img("compare nul.qcow2 clone.qcow2");
    // Names that begin with a NUL are empty.
    change(&dir, "nul.qcow2", |header| {
        header.extensions = vec![extension(Extension::BACKING_FORMAT, b"\0raw")];
    });
    same(&dir, "nul.qcow2");
    change(&dir, "nul.qcow2", |header| {
        header.backing_name = Some(b"\0inner.qcow2".to_vec());
        header.extensions.clear();
    });
    same(&dir, "nul.qcow2");
}

#[test]
fn a_clone_rounds_an_odd_size_down_as_qemu_does() {
    let dir = with_base();
    dir.tool("create -q -b node.img disk.qcow2 2M").ok();
    patch(&dir, "disk.qcow2", 24, &0x1f_ffff_u64.to_be_bytes());
    dir.tool("clone disk.qcow2 clone.qcow2").ok();
    let size = |name: &str| {
        let said = dir.qemu_img(&format!("info --output json {name}"));
        json_of(&said)["virtual-size"].clone()
    };
    assert_eq!(size("disk.qcow2"), 0x1f_fe00);
    assert_eq!(size("clone.qcow2"), 0x1f_fe00);
}

/// Checks that QEMU does not open `name`, and that the tool refuses it.
#[track_caller]
fn refused(dir: &Dir, name: &str, problem: &str) {
    let said = Run::of(
        dir.command("qemu-io")
            .args(["-r", "-c", "read 0 512", name]),
    );
    assert_ne!(said.status, Some(0), "{problem}: QEMU opens it");
    for arguments in [
        format!("info {name}"),
        format!("clone {name} new.qcow2"),
        format!("create -b {name} new.qcow2"),
    ] {
        let run = dir.tool(&arguments);
        assert_eq!(run.status, Some(1), "{arguments}: {problem}");
        assert!(run.stderr.contains(problem), "{problem}: {}", run.stderr);
    }
    assert!(!dir.path("new.qcow2").exists());
}

#[test]
fn refuses_a_header_that_qemu_refuses() {
    let dir = Dir::new();
    dir.tool("create -q disk.qcow2 1G").ok();
    for (offset, bytes, problem) in [
        (56, &[0; 4][..], "refcount_table_clusters is 0"),
        (56, &[0, 0, 0, 129], "refcount_table_clusters is 129"),
        (40, &[0x80], "l1_table_offset is"),
        (48, &[0x80], "refcount_table_offset is"),
        (60, &[0, 1, 0, 1], "nb_snapshots is 65537"),
        (71, &[1], "snapshots_offset is 1"),
        (64, &[0x80], "snapshots_offset is"),
        (95, &[2], "autoclear_features is 2"),
        (35, &[2], "crypt_method without an encryption header is 2"),
    ] {
        fs::copy(dir.path("disk.qcow2"), dir.path("broken.qcow2")).expect("copy");
        patch(&dir, "broken.qcow2", offset, bytes);
        refused(&dir, "broken.qcow2", problem);
    }
    change(&dir, "broken.qcow2", |header| {
        header.incompatible_features = Header::COMPRESSION_TYPE;
        header.compression = 2;
    });
    refused(&dir, "broken.qcow2", "compression_type is 2");
}

#[test]
fn refuses_an_extension_that_qemu_refuses() {
    let dir = with_base();
    dir.tool("create -q -b node.img disk.qcow2 1G").ok();
    let bitmaps = [[0, 0, 0, 1, 0, 0, 0, 1], [0; 8], [0; 8]].concat();
    for (kind, data, problem) in [
        (
            Extension::BACKING_FORMAT,
            &b"raw\0of-16-bytes!"[..],
            "length of the backing file's format is 16",
        ),
        (
            Extension::CRYPTO_HEADER,
            &[0; 16],
            "length of the encryption header extension is 16",
        ),
        (
            Extension::BITMAPS,
            &bitmaps[..16],
            "length of the bitmaps extension is 16",
        ),
        (
            Extension::BITMAPS,
            &bitmaps,
            "reserved field of the bitmaps extension is 1",
        ),
    ] {
        // In front of the others, where it does not count.
        change(&dir, "broken.qcow2", |header| {
            header.extensions.insert(0, extension(kind, data));
            header.autoclear_features = Header::BITMAPS;
        });
        refused(&dir, "broken.qcow2", problem);
    }
    // An end marker with a length, and a name that starts in its place.
    dir.tool("create -q --force -o cluster_size=512 -b node.img disk.qcow2 1M")
        .ok();
    let image = dir.read("disk.qcow2");
    let name = u64::from_be_bytes(image[8..16].try_into().expect("8 bytes"));
    dir.write("broken.qcow2", &image);
    patch(&dir, "broken.qcow2", name as usize - 4, &[0, 0, 1]);
    refused(&dir, "broken.qcow2", "header extension length is 256");
    dir.write("broken.qcow2", &image);
    patch(&dir, "broken.qcow2", 8, &(name - 4).to_be_bytes());
    refused(&dir, "broken.qcow2", "space for a header extension is 4");
}

#[test]
fn refuses_tables_that_qemu_refuses() {
    let dir = Dir::new();
    dir.qemu_img("create -q -f qcow2 -o cluster_size=512 disk.qcow2 8M");
    dir.qemu_img("snapshot -c name disk.qcow2");
    for name in ["aa", "ab"] {
        dir.qemu_img(&format!("bitmap --add disk.qcow2 {name}"));
    }
    let image = dir.read("disk.qcow2");
    let header = Header::parse(&image).expect("a header");
    let snapshot = header.snapshots_offset as usize;
    let bitmap = crate::info::entry(&image, "ab");
    let table = u64::from_be_bytes(image[bitmap..][..8].try_into().expect("8 bytes")) as usize;
    for (offset, bytes, problem) in [
        (snapshot + 36, &[1][..], "extra data size of a snapshot is"),
        (bitmap + 11, &[2], "bitmap_table_size is 2"),
        (bitmap + 17, &[8], "granularity_bits is 8"),
        (bitmap + 17, &[32], "granularity_bits is 32"),
        (bitmap + 17, &[9], "bitmap_table_size is 1"),
        (bitmap + 23, &[4], "extra_data_size of a bitmap is 4"),
        (bitmap + 25, b"a", "with the name of another is 1"),
        (table + 7, &[2], "entry in the table of a bitmap is 2"),
        (table + 6, &[2, 1], "entry in the table of a bitmap is 513"),
    ] {
        dir.write("broken.qcow2", &image);
        patch(&dir, "broken.qcow2", offset, bytes);
        refused(&dir, "broken.qcow2", problem);
    }
}

#[test]
fn refuses_a_corrupt_luks_header() {
    let dir = Dir::new();
    dir.qemu_img(&format!("create -q -f qcow2 {LUKS} disk.qcow2 1M"));
    let image = dir.read("disk.qcow2");
    let mut windows = image.windows(6);
    let start = windows.position(|w| w == b"LUKS\xba\xbe").expect("LUKS");
    for (offset, value) in [(0, b'l'), (7, 2)] {
        dir.write("broken.qcow2", &image);
        patch(&dir, "broken.qcow2", start + offset, &[value]);
        refused(&dir, "broken.qcow2", "start of the LUKS header is");
    }
}
