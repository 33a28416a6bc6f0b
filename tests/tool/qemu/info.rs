//! `info` prints what `qemu-img info` prints, for every kind of image that `qemu-img` can make.

use qcow2_overlay::Header;
use serde_json::{json, Value};

use crate::common::{Dir, Run};
use crate::{qemu_io, with_base};

const SECRET: &str = "--object secret,id=sec0,data=open";

/// Parses JSON.
pub fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Checks that `info` prints what `qemu-img info` does of `name`, alone and with its chain, as
/// text and as JSON.
#[track_caller]
pub fn same(dir: &Dir, name: &str) {
    for arguments in [name.to_owned(), format!("--backing-chain {name}")] {
        let ours = dir.tool(&format!("info {arguments}")).ok();
        assert_eq!(ours, dir.qemu_img(&format!("info {arguments}")));
        let ours = dir.tool(&format!("info --output json {arguments}")).ok();
        let theirs = dir.qemu_img(&format!("info --output json {arguments}"));
        assert_eq!(json_of(&ours), json_of(&theirs));
    }
}

/// Writes `bytes` over those at `offset`.
pub fn patch(dir: &Dir, name: &str, offset: usize, bytes: &[u8]) {
    let mut image = dir.read(name);
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
    dir.write(name, &image);
}

/// Returns the offset of the first `needle` in `image`.
fn find(image: &[u8], needle: &[u8]) -> usize {
    let mut windows = image.windows(needle.len());
    windows.position(|w| w == needle).expect("it is there")
}

/// Returns the offset of the data of the bitmaps extension.
pub fn extension(image: &[u8]) -> usize {
    find(image, &0x2385_2875_u32.to_be_bytes()) + 8
}

/// Returns the offset of the entry of bitmap `name`. Older copies may be elsewhere.
pub fn entry(image: &[u8], name: &str) -> usize {
    let offset = &image[extension(image) + 16..][..8];
    let directory = u64::from_be_bytes(offset.try_into().expect("8 bytes")) as usize;
    directory + find(&image[directory..], name.as_bytes()) - 24
}

#[test]
fn describes_overlays_and_raw_images() {
    let dir = with_base();
    dir.mkdir("sub");
    dir.tool("create -q -b ../node.img sub/v1.qcow2 1G").ok();
    dir.tool("create -q -b sub/v1.qcow2 -o compat=0.10 v2.qcow2")
        .ok();
    dir.tool("create -q -o lazy_refcounts=on,extended_l2=on,cluster_size=2M v3.qcow2 1.5T")
        .ok();
    dir.write("odd.img", &[1; 1000]);
    for name in [
        "node.img",
        "odd.img",
        "sub/v1.qcow2",
        "v2.qcow2",
        "v3.qcow2",
    ] {
        same(&dir, name);
    }
}

#[test]
fn describes_images_with_data() {
    let dir = with_base();
    for options in ["compression_type=zlib", "compression_type=zstd"] {
        dir.qemu_img(&format!(
            "create -q -f qcow2 -o {options} -b node.img -F raw disk.qcow2 8M"
        ));
        qemu_io(&dir, "write -P 1 100K 1M", "disk.qcow2");
        qemu_io(&dir, "write -c -P 2 4M 1M", "disk.qcow2");
        same(&dir, "disk.qcow2");
    }
}

#[test]
fn describes_snapshots() {
    let dir = with_base();
    for compat in ["0.10", "1.1"] {
        dir.qemu_img(&format!(
            "create -q -f qcow2 -o compat={compat} -b node.img -F raw disk.qcow2 8M"
        ));
        for name in ["fresh", "größer", "a-name-that-is-wider-than-its-column"] {
            qemu_io(&dir, "write -P 1 0 1M", "disk.qcow2");
            dir.qemu_img(&format!("snapshot -c {name} disk.qcow2"));
            same(&dir, "disk.qcow2");
        }
        dir.qemu_img("snapshot -d fresh disk.qcow2");
        same(&dir, "disk.qcow2");
        // As a base, too.
        dir.tool("create -q --force -b disk.qcow2 top.qcow2").ok();
        same(&dir, "top.qcow2");
    }
}

#[test]
fn describes_snapshots_of_a_running_machine() {
    let dir = Dir::new();
    dir.qemu_img("create -q -f qcow2 whole.qcow2 8M");
    dir.qemu_img("snapshot -c name whole.qcow2");
    let image = dir.read("whole.qcow2");
    let header = Header::parse(&image).expect("a header");
    let table = header.snapshots_offset as usize;
    let day = 24 * 3600 * 1_000_000_000_u64 + 61_987_654_321;
    for (offset, value) in [
        (24, day),
        (24, 20_000 * day),
        (24, u64::MAX),
        (40, 512 << 20),
        (40, 3 << 62),
        (56, 123_456),
        (56, 12_345_678_901_234),
        (56, u64::MAX - 1),
        (56, u64::MAX),
    ] {
        dir.write("disk.qcow2", &image);
        patch(&dir, "disk.qcow2", table + offset, &value.to_be_bytes());
        same(&dir, "disk.qcow2");
    }
    for seconds in [0, 951_868_800, u32::MAX] {
        dir.write("disk.qcow2", &image);
        patch(&dir, "disk.qcow2", table + 16, &seconds.to_be_bytes());
        same(&dir, "disk.qcow2");
    }
    // Old images of version 2 have no extra data: the ID and the name follow the fixed part.
    dir.write("disk.qcow2", &image);
    let short = [4096_u32.to_be_bytes(), [0; 4]].concat();
    patch(&dir, "disk.qcow2", table + 32, &short);
    patch(&dir, "disk.qcow2", table + 40, b"1name");
    same(&dir, "disk.qcow2");
}

#[test]
fn describes_bitmaps() {
    let dir = Dir::new();
    dir.qemu_img("create -q -f qcow2 disk.qcow2 8M");
    dir.qemu_img("bitmap --add disk.qcow2 first");
    same(&dir, "disk.qcow2");
    dir.qemu_img("bitmap --add -g 512 disk.qcow2 fine");
    dir.qemu_img("bitmap --add -g 1G --disable disk.qcow2 größer");
    qemu_io(&dir, "write 0 1M", "disk.qcow2");
    dir.qemu_img("snapshot -c both disk.qcow2");
    same(&dir, "disk.qcow2");
    // As a crash leaves it: the flags of an entry are at its byte 12.
    let image = dir.read("disk.qcow2");
    patch(&dir, "disk.qcow2", entry(&image, "fine") + 15, &[3]);
    same(&dir, "disk.qcow2");
    let said = dir.tool("info disk.qcow2").ok();
    assert!(said.contains("[0]: in-use\n"), "{said}");
    // As a program that does not know bitmaps leaves it.
    patch(&dir, "disk.qcow2", 88, &[0; 8]);
    same(&dir, "disk.qcow2");
}

#[test]
fn describes_external_data_files() {
    let dir = Dir::new();
    dir.qemu_img("create -q -f qcow2 -o data_file=data disk.qcow2 8M");
    qemu_io(&dir, "write 0 1M", "disk.qcow2");
    same(&dir, "disk.qcow2");
    dir.qemu_img("create -q -f qcow2 -o data_file=flat,data_file_raw=on raw.qcow2 8M");
    same(&dir, "raw.qcow2");
    // QEMU does not look at the data file either.
    dir.remove("data");
    same(&dir, "disk.qcow2");
    // A name without the feature bit that gives it a meaning, and in version 2, which has no
    // such feature.
    patch(&dir, "disk.qcow2", 79, &[0]);
    same(&dir, "disk.qcow2");
    patch(&dir, "disk.qcow2", 4, &2_u32.to_be_bytes());
    let at = find(&dir.read("disk.qcow2"), b"DATA");
    let image = dir.read("disk.qcow2");
    patch(&dir, "disk.qcow2", 72, &image[at..at + 16]);
    same(&dir, "disk.qcow2");
}

#[test]
fn describes_aes_encryption() {
    let dir = with_base();
    let create = format!("create -q -f qcow2 {SECRET} -o encrypt.format=aes");
    for options in ["compat=0.10 -b node.img -F raw", "data_file=data"] {
        let options = format!("encrypt.key-secret=sec0,{options}");
        dir.qemu_img(&format!("{create},{options} disk.qcow2 8M"));
        same(&dir, "disk.qcow2");
    }
    let image = "driver=qcow2,encrypt.key-secret=sec0,file.filename=disk.qcow2";
    dir.qemu_img(&format!("bitmap --add {SECRET} --image-opts {image} first"));
    same(&dir, "disk.qcow2");
}

#[test]
fn describes_luks_encryption_except_for_its_header() {
    let dir = Dir::new();
    let options = "encrypt.format=luks,encrypt.key-secret=sec0,encrypt.iter-time=10";
    dir.qemu_img(&format!(
        "create -q -f qcow2 {SECRET} -o {options} disk.qcow2 8M"
    ));
    let theirs = dir.qemu_img("info disk.qcow2");
    // Lines that are indented more than `encrypt` are about the LUKS header.
    let is_known = |line: &&str| !line.starts_with("        ") || line.contains(" format: luks");
    let known: Vec<&str> = theirs.lines().filter(is_known).collect();
    let ours = dir.tool("info disk.qcow2").ok();
    assert_eq!(ours.lines().collect::<Vec<_>>(), known);

    let mut theirs = json_of(&dir.qemu_img("info --output json disk.qcow2"));
    let encrypt = &mut theirs["format-specific"]["data"]["encrypt"];
    assert_eq!(encrypt["format"], "luks");
    *encrypt = json!({"format": "luks"});
    let ours = json_of(&dir.tool("info --output json disk.qcow2").ok());
    assert_eq!(ours, theirs);
    assert_eq!(ours["encrypted"], true);
}

#[test]
fn describes_dirty_and_corrupt_images() {
    let dir = with_base();
    dir.qemu_img("create -q -f qcow2 -o lazy_refcounts=on -b node.img -F raw disk.qcow2 8M");
    let mut killed = dir.command("qemu-io");
    killed.args(["-f", "qcow2", "-c", "write 0 1M", "-c", "sigraise 9"]);
    assert_eq!(Run::of(killed.arg("disk.qcow2")).status, None);
    let said = dir.tool("info disk.qcow2").ok();
    assert!(said.contains("\ncleanly shut down: no\n"), "{said}");
    same(&dir, "disk.qcow2");
    dir.qemu_img("create -q -f qcow2 disk.qcow2 8M");
    dir.qemu_img("snapshot -c name disk.qcow2");
    for (bits, corrupt) in [(1, "false"), (2, "true"), (3, "true")] {
        patch(&dir, "disk.qcow2", 79, &[bits]);
        let said = dir.tool("info disk.qcow2").ok();
        assert!(
            said.contains(&format!("    corrupt: {corrupt}\n")),
            "{said}"
        );
        same(&dir, "disk.qcow2");
    }
}

#[test]
fn describes_images_with_unknown_extensions() {
    let dir = with_base();
    dir.qemu_img("create -q -f qcow2 -b node.img -F raw disk.qcow2 8M");
    let names = 0x6803_F857_u32.to_be_bytes();
    let at = find(&dir.read("disk.qcow2"), &names);
    patch(&dir, "disk.qcow2", at, b"\x12\x34\x56\x78");
    same(&dir, "disk.qcow2");
    // A format is recorded, but no longer a backing file.
    patch(&dir, "disk.qcow2", 8, &[0; 8]);
    same(&dir, "disk.qcow2");
}
