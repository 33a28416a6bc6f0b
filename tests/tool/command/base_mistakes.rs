//! Bases that `create` refuses, with one line, a status and no file.

use std::fs;

use crate::common::{create_fails, Dir};

#[test]
fn refuses_a_backing_name_that_does_not_fit() {
    let long = "n".repeat(1024);
    create_fails(
        &format!("-u -b {long} -F raw x 1G"),
        1,
        "the name of the backing file has 1024 bytes, the limit here is 1023",
    );
    // 512 - 112 (header) - 16 (backing format) - 8 (end of the extensions)
    let long = "n".repeat(377);
    create_fails(
        &format!("-o cluster_size=512 -u -b {long} -F raw x 1G"),
        1,
        "the name of the backing file has 377 bytes, the limit here is 376; \
         cluster_size=1024 would allow it",
    );
    let dir = Dir::new();
    dir.tool(&format!("create -u -b {} -F raw a 1G", "n".repeat(1023)))
        .ok();
    let fits = &long[1..];
    dir.tool(&format!(
        "create -o cluster_size=512 -u -b {fits} -F raw b 1G"
    ))
    .ok();
}

#[test]
fn refuses_a_backing_name_that_is_not_a_file_name() {
    let dir = Dir::new();
    for name in ["nbd:host:1", "json:{}"] {
        for unopened in ["", "-u"] {
            create_fails(
                &format!("{unopened} -b {name} -F raw x 1G"),
                1,
                &format!(
                    "QEMU would take the backing file {name:?} for a protocol's address; \
                     for a file put \"./\" before it"
                ),
            );
        }
        dir.tool(&format!("create -q --force -u -b ./{name} -F raw x 1G"))
            .ok();
    }
    dir.shell("\"$0\" create -u -b '' -F raw y 1G")
        .fails(1, "the name of the backing file is empty");
}

#[test]
fn refuses_a_base_that_does_not_exist() {
    let relative = "does not exist (NAME is relative to the directory of FILE)";
    for known in ["", "-F raw -o size=1G", "--no-backing-format -o size=1G"] {
        create_fails(
            &format!("-b gone.img {known} x"),
            1,
            &format!("backing file \"gone.img\" {relative}"),
        );
    }

    let dir = Dir::new();
    dir.mkdir("disks");
    dir.sparse("node.img", 512);
    let here = fs::canonicalize(dir.path("node.img")).expect("a path");
    dir.tool("create -b node.img disks/x").fails(
        1,
        &format!(
            "backing file \"disks/node.img\" {relative}; \
             the one in the current directory is {here:?}"
        ),
    );
    assert_eq!(dir.names(), ["disks", "node.img"]);

    // No file of its chain may be missing, not even the one that is to be written.
    dir.tool("create -q -u -b x -F raw v1.qcow2 1M").ok();
    dir.tool("create -b v1.qcow2 x").fails(
        1,
        "backing file \"v1.qcow2\": its backing file \"x\": \
         No such file or directory (os error 2)",
    );
    dir.tool("create -q -b v1.qcow2 --probe v1.qcow2 y").ok();
}

#[test]
fn refuses_a_base_that_is_not_an_image_file() {
    let dir = Dir::new();
    dir.mkdir("d");
    dir.tool("create -b d x").fails(
        1,
        "backing file \"d\": it is a directory, not an image file",
    );
    dir.shell("mkfifo pipe").ok();
    dir.tool("create -b pipe x").fails(
        1,
        "backing file \"pipe\": it is neither a file nor a block device",
    );
}

#[test]
fn refuses_a_corrupt_base() {
    let dir = Dir::new();
    dir.tool("create -q whole.qcow2 1G").ok();
    let whole = dir.read("whole.qcow2");
    for (length, problem) in [
        (40, "the header ends at byte 72, the file at byte 40"),
        (90, "the header ends at byte 104, the file at byte 90"),
        (
            100_000,
            "the L1 table ends at byte 196624, the file at byte 100000",
        ),
    ] {
        dir.write("cut.qcow2", &whole[..length]);
        let message = format!("backing file \"cut.qcow2\": truncated qcow2 image: {problem}");
        dir.tool("create -b cut.qcow2 x").fails(1, &message);
    }
    dir.write("cut.qcow2", b"raw");
    dir.tool("create -b cut.qcow2 -F qcow2 x").fails(
        1,
        "backing file \"cut.qcow2\": it is not a qcow2 image: if it is raw, give its \
             overlay -F raw (in a BUILD file: backing_format = \"raw\")",
    );
    for (offset, value, field) in [
        (7, 9, "version"),
        (23, 30, "cluster_bits"),
        (99, 7, "refcount_order"),
    ] {
        let mut broken = whole.clone();
        broken[offset] = value;
        dir.write("broken.qcow2", &broken);
        dir.tool("create -b broken.qcow2 x").fails(
            1,
            &format!("backing file \"broken.qcow2\": corrupt qcow2 image: {field} is {value} ({value:#x})"),
        );
    }
    assert_eq!(dir.names(), ["broken.qcow2", "cut.qcow2", "whole.qcow2"]);
}

#[test]
fn refuses_a_base_of_another_format() {
    let dir = Dir::new();
    for (content, format) in [
        (&b"KDMV"[..], "VMDK"),
        (b"vhdxfile", "VHDX"),
        (b"conectix", "VHD"),
        (b"QED\0", "QED"),
        (b"Bochs Virtual HD Image\0", "Bochs"),
        (b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop", "cloop"),
        (b"# a comment\n \r\nversion=1\r\n", "VMDK"),
    ] {
        dir.write("other.img", content);
        for given in ["", "-F raw", "-F raw -o size=1G"] {
            dir.tool(&format!("create -b other.img {given} x")).fails(
                1,
                &format!(
                    "backing file \"other.img\": it is a {format} image, and a backing file \
                     must be raw or qcow2: convert it with qemu-img convert"
                ),
            );
        }
        let message = format!("\"other.img\": it is a {format} image, neither raw nor qcow2");
        dir.tool("info other.img").fails(1, &message);
    }
    dir.write("other.img", b"# a comment\nversion=4\n");
    dir.tool("create -q -b other.img script").ok();
    // QEMU recognizes these by their name.
    dir.sparse("other.dmg", 512);
    dir.tool("create -b other.dmg x").fails(
        1,
        "backing file \"other.dmg\": it is a DMG image, and a backing file must be raw or \
         qcow2: convert it with qemu-img convert, or give -F raw (in a BUILD file: \
         backing_format = \"raw\") if it is a raw disk with this name",
    );
    dir.tool("create -q -b other.dmg -F raw named").ok();
    // This is what a raw disk looks like whose guest encrypts all of it.
    dir.write("other.img", b"LUKS\xba\xbe");
    dir.tool("create -b other.img x").fails(
        1,
        "backing file \"other.img\": it is a LUKS image, and a backing file must be raw or \
         qcow2: convert it with qemu-img convert, or give -F raw (in a BUILD file: \
         backing_format = \"raw\") if the guest decrypts it",
    );
    dir.tool("create -b other.img -F raw x").ok();
}

#[test]
fn refuses_a_qcow2_base_given_as_raw() {
    let dir = Dir::new();
    dir.tool("create -q base.qcow2 1M").ok();
    for given in ["-b base.qcow2", "-b later --probe base.qcow2"] {
        dir.tool(&format!("create {given} -F raw x 1G")).fails(
            1,
            "backing file \"base.qcow2\": it is a qcow2 image, not a raw one: give its overlay \
             -F qcow2 (in a BUILD file: backing_format = \"qcow2\"); if these bytes themselves \
             are the disk, convert it first with qcow2-overlay convert -f raw",
        );
    }
    assert_eq!(dir.names(), ["base.qcow2"]);
}

#[test]
fn refuses_an_overlay_smaller_than_its_base() {
    let dir = Dir::new();
    dir.sparse("node.img", 100 << 20);
    for given in ["", "-F raw", "--probe node.img -F raw"] {
        dir.tool(&format!("create -b node.img {given} x 50M"))
            .fails(
                1,
                "SIZE (in a BUILD file: size) of 52428800 bytes is smaller than the backing file \
             \"node.img\", of 104857600 bytes: its end would be cut off",
            );
    }
    assert_eq!(dir.names(), ["node.img"]);
    // QEMU rounds the size of a raw image up to a sector.
    dir.sparse("odd.img", 1000);
    dir.tool("create -b odd.img -F raw x 1000").ok();
}

#[test]
fn refuses_a_base_smaller_than_its_own_base() {
    let dir = Dir::new();
    dir.sparse("node.img", 2 << 20);
    dir.tool("create -q -u -b node.img -F raw v1.qcow2 1M").ok();
    dir.tool("create -b v1.qcow2 x").fails(
        1,
        "backing file \"v1.qcow2\": its size of 1048576 bytes cuts off the end of its backing \
         file \"node.img\", of 2097152 bytes: give it a SIZE (in a BUILD file: size) of at least \
         that",
    );
}
