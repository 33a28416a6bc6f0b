//! Every mistake gets one line, a status and no file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{tool, Dir, Run};

/// Runs `create` with `arguments`; it must fail with `message` and leave no file.
#[track_caller]
fn refused(arguments: &str, status: i32, message: &str) {
    let dir = Dir::new();
    dir.tool(&format!("create {arguments}"))
        .fails(status, message);
    assert!(dir.names().is_empty(), "{:?}", dir.names());
}

#[test]
fn neither_size_nor_base() {
    refused(
        "x",
        2,
        "give SIZE, or a backing file to take it from: -b NAME",
    );
}

#[test]
fn sizes_that_are_none() {
    let number = "give bytes, or a number with one of the suffixes K, M, G, T, P, E";
    let sign = "give the whole size, without a sign";
    for (size, right) in [
        ("1.5", number),
        ("ten", number),
        ("1KiB", number),
        ("0x", number),
        ("1,5G", number),
        ("-1", sign),
        ("+10G", sign),
        ("9E", "the largest disk has 2E"),
    ] {
        refused(
            &format!("x {size}"),
            2,
            &format!("SIZE: invalid size {size:?}: {right}"),
        );
        if !size.contains(',') {
            let message = format!("-o \"size\": invalid size {size:?}: {right}");
            refused(&format!("-o size={size} x"), 2, &message);
        }
    }
}

#[test]
fn sizes_over_the_limit_of_the_l1_table() {
    refused(
        "x 3P",
        1,
        "size of 3377699720527872 bytes is over the limit of 2251799813685248 bytes; \
         cluster_size=131072 would allow it",
    );
    refused(
        "-o cluster_size=512 x 1T",
        1,
        "size of 1099511627776 bytes is over the limit of 137438953472 bytes; \
         cluster_size=2048 would allow it",
    );
    refused(
        "-o cluster_size=2M x 3E",
        1,
        "size of 3458764513820540928 bytes is over the limit of 2305843009213693952 bytes, \
         which no cluster_size raises enough",
    );
    // The limits themselves are allowed.
    let dir = Dir::new();
    dir.tool("create a 2P").ok();
    dir.tool("create -o cluster_size=512 b 128G").ok();
    dir.tool("create -o cluster_size=2M c 2E").ok();
    dir.tool("create -o extended_l2=on d 1P").ok();
}

#[test]
fn options_that_do_not_exist_or_have_no_such_value() {
    let list = "there is no such option, only compat, cluster_size, refcount_bits, \
                lazy_refcounts, extended_l2, backing_file, backing_fmt and size";
    refused("-o foo=1 x 1G", 2, &format!("-o \"foo\": {list}"));
    refused("-o foo x 1G", 2, "-o \"foo\": write it as NAME=VALUE");
    refused(
        "-o compat=2 x 1G",
        2,
        "-o \"compat\": \"2\" is neither 1.1 (v3) nor 0.10 (v2)",
    );
    refused(
        "-o extended_l2=maybe x 1G",
        2,
        "-o \"extended_l2\": \"maybe\" is neither on nor off",
    );
    refused(
        "-o refcount_bits=a x 1G",
        2,
        "-o \"refcount_bits\": \"a\" is not a number",
    );
    refused("-o size=1G,size=1G x", 2, "-o \"size\": it is given twice");
    let both = "SIZE and -o size say the same: give one of them";
    refused("-o size=1G x 1G", 2, both);
    refused(
        "-b a -o backing_file=b x 1G",
        2,
        "-b and -o backing_file say the same: give one of them",
    );
    let formats = "unknown format \"vmdk\": it is raw or qcow2";
    refused(
        "-b a -o backing_fmt=vmdk x 1G",
        2,
        &format!("-o \"backing_fmt\": {formats}"),
    );
}

#[test]
fn values_out_of_range() {
    for size in ["0", "256", "3K", "4M"] {
        let bytes = qcow2_overlay::parse_size(size).expect("a size");
        refused(
            &format!("-o cluster_size={size} x 1G"),
            1,
            &format!("invalid cluster_size {bytes}: it is a power of two from 512 to 2M"),
        );
    }
    for bits in [0, 3, 128] {
        refused(
            &format!("-o refcount_bits={bits} x 1G"),
            1,
            &format!("invalid refcount_bits {bits}: it is 1, 2, 4, 8, 16, 32 or 64"),
        );
    }
}

#[test]
fn options_that_exclude_each_other() {
    for option in ["refcount_bits=8", "lazy_refcounts=on", "extended_l2=on"] {
        refused(
            &format!("-o compat=0.10,{option} x 1G"),
            1,
            &format!("{option} needs compat=1.1"),
        );
    }
    refused(
        "-o extended_l2=on,cluster_size=8K x 1G",
        1,
        "extended_l2=on needs a cluster_size of at least 16K",
    );
    let needs = "-F, -u, --probe, --standalone and --no-backing-format need a backing file: \
                 -b NAME";
    refused("-F raw x 1G", 2, needs);
    refused("-u x 1G", 2, needs);
    refused("--standalone x 1G", 2, needs);
    refused("--probe a x 1G", 2, needs);
    refused("--no-backing-format x 1G", 2, needs);
    for (option, shown) in [
        ("--probe a", "--probe <PATH>"),
        ("--standalone", "--standalone"),
    ] {
        refused(
            &format!("-u {option} -b a -F raw x 1G"),
            2,
            &format!("the argument '-u' cannot be used with '{shown}'; --help shows the usage"),
        );
    }
    refused(
        "-u -b a -F raw x",
        2,
        "-u leaves the backing file unopened: give SIZE",
    );
    refused(
        "-u -b a x 1G",
        2,
        "-u leaves the backing file unopened: give its format, -F raw or qcow2",
    );
}

#[test]
fn arguments_that_do_not_exist() {
    refused(
        "--foo x",
        2,
        "unexpected argument '--foo' found; --help shows the usage",
    );
    refused(
        "-F vmdk -b a x",
        2,
        "invalid value 'vmdk' for '-F <FORMAT>' [possible values: raw, qcow2]; \
         --help shows the usage",
    );
    refused(
        "",
        2,
        "the following required arguments were not provided: <FILE>; --help shows the usage",
    );
    let dir = Dir::new();
    let subcommands =
        "give a subcommand: create, convert, clone, exec, provision or info; --help explains them";
    dir.tool("").fails(2, subcommands);
}

#[test]
fn backing_names_that_do_not_fit() {
    let long = "n".repeat(1024);
    refused(
        &format!("-u -b {long} -F raw x 1G"),
        1,
        "the name of the backing file has 1024 bytes, the limit here is 1023",
    );
    // 512 - 112 (header) - 16 (backing format) - 8 (end of the extensions)
    let long = "n".repeat(377);
    refused(
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
fn backing_names_that_are_no_file_names() {
    let dir = Dir::new();
    for (name, shown) in [("nbd:host:1", "nbd:host:1"), ("json:{}", "json:{}")] {
        for unopened in ["", "-u"] {
            refused(
                &format!("{unopened} -b {name} -F raw x 1G"),
                1,
                &format!(
                    "QEMU would take the backing file {shown:?} for a protocol's address; \
                     for a file put \"./\" before it"
                ),
            );
        }
        dir.tool(&format!("create -q --force -u -b ./{name} -F raw x 1G"))
            .ok();
    }
    let mut command = dir.command(tool());
    command.args(["create", "-u", "-b", "", "-F", "raw", "y", "1G"]);
    Run::of(&mut command).fails(1, "the name of the backing file is empty");
}

#[test]
fn a_base_that_does_not_exist() {
    let relative = "does not exist (NAME is relative to the directory of FILE)";
    for known in ["", "-F raw -o size=1G", "--no-backing-format -o size=1G"] {
        refused(
            &format!("-b gone.img {known} x"),
            1,
            &format!("backing file \"gone.img\" {relative}"),
        );
    }

    let dir = Dir::new();
    fs::create_dir(dir.path("disks")).expect("mkdir");
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

    // Nor may any file of its chain be missing, even the file that is to be written.
    dir.tool("create -q -u -b x -F raw v1.qcow2 1M").ok();
    dir.tool("create -b v1.qcow2 x").fails(
        1,
        "backing file \"v1.qcow2\": its backing file \"x\": \
         No such file or directory (os error 2)",
    );
    dir.tool("create -q -b v1.qcow2 --probe v1.qcow2 y").ok();
}

#[test]
fn a_base_that_is_no_image_file() {
    let dir = Dir::new();
    fs::create_dir(dir.path("d")).expect("mkdir");
    dir.tool("create -b d x").fails(
        1,
        "backing file \"d\": it is a directory, not an image file",
    );
    Run::of(dir.command("mkfifo").arg("pipe")).ok();
    dir.tool("create -b pipe x").fails(
        1,
        "backing file \"pipe\": it is neither a file nor a block device",
    );
}

#[test]
fn a_base_that_is_broken() {
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
        "backing file \"cut.qcow2\": it is not a qcow2 image: if it is a raw one, give its \
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
fn a_base_of_another_format() {
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
    // QEMU knows these by their name.
    dir.sparse("other.dmg", 512);
    dir.tool("create -b other.dmg x").fails(
        1,
        "backing file \"other.dmg\": it is a DMG image, and a backing file must be raw or \
         qcow2: convert it with qemu-img convert, or give -F raw (in a BUILD file: \
         backing_format = \"raw\") if only its name is that of one",
    );
    dir.tool("create -q -b other.dmg -F raw named").ok();
    // A guest that encrypts its whole disk makes such a raw image.
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
fn a_qcow2_base_that_is_said_to_be_raw() {
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
fn an_overlay_smaller_than_its_base() {
    let dir = Dir::new();
    dir.sparse("node.img", 100 << 20);
    for given in ["", "-F raw", "--probe node.img -F raw"] {
        dir.tool(&format!("create -b node.img {given} x 50M"))
            .fails(
                1,
                "SIZE (in a BUILD file: size) of 52428800 bytes is smaller than the backing file \
             \"node.img\", of 104857600 bytes: the end of that would be lost",
            );
    }
    assert_eq!(dir.names(), ["node.img"]);
    // A raw image ends with a whole sector.
    dir.sparse("odd.img", 1000);
    dir.tool("create -b odd.img -F raw x 1000").ok();
}

#[test]
fn a_base_that_cuts_its_own_base() {
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

#[test]
fn an_output_that_exists() {
    let dir = Dir::new();
    dir.write("x", b"precious");
    dir.tool("create x 1G")
        .fails(1, "\"x\" exists; --force replaces it");
    fs::set_permissions(dir.path("x"), fs::Permissions::from_mode(0o555)).expect("chmod");
    dir.tool("create --force x 1G")
        .fails(1, "cannot write \"x\": it exists and is write-protected");
    assert_eq!(dir.read("x"), b"precious");
    fs::create_dir(dir.path("d")).expect("mkdir");
    dir.tool("create --force d 1G")
        .fails(1, "cannot write \"d\": it exists and is not a regular file");
    assert_eq!(dir.names(), ["d", "x"]);
}

#[test]
fn an_output_that_is_its_own_base() {
    let dir = Dir::new();
    dir.sparse("node.img", 512);
    dir.tool("create -q -b node.img v1").ok();
    fs::create_dir(dir.path("sub")).expect("mkdir");
    fs::hard_link(dir.path("node.img"), dir.path("sub/hard.img")).expect("a link");
    std::os::unix::fs::symlink("../node.img", dir.path("sub/soft.img")).expect("symlink");
    let own = |name: &str, file: &str| {
        format!("{file:?} is in the chain of its backing file {name:?}; give another path")
    };
    for (name, file) in [
        ("node.img", "node.img"),
        ("./sub/../node.img", "node.img"),
        ("node.img", "./node.img"),
        ("sub/hard.img", "node.img"),
        ("sub/soft.img", "node.img"),
        ("../node.img", "sub/hard.img"),
        ("../node.img", "sub/soft.img"),
    ] {
        for given in ["-F raw", "--force -F raw", "--force -u -F raw", "--force"] {
            dir.tool(&format!("create {given} -b {name} {file} 1G"))
                .fails(1, &own(name, file));
        }
    }
    for force in ["", "--force"] {
        dir.tool(&format!("create {force} -b v1 node.img"))
            .fails(1, &own("v1", "node.img"));
        let given = "-b /later --probe node.img";
        dir.tool(&format!("create {force} {given} node.img"))
            .fails(1, &own("/later", "node.img"));
    }
    assert_eq!(dir.read("node.img"), [0; 512]);
    // Nothing of it is there yet.
    for (name, file) in [
        ("new", "new"),
        ("./new", "sub/../new"),
        ("../sub/new", "sub/new"),
    ] {
        dir.tool(&format!("create -u -F raw -b {name} {file} 1G"))
            .fails(1, &own(name, file));
        dir.tool(&format!("create -b {name} --probe node.img {file}"))
            .fails(1, &own(name, file));
    }
    assert_eq!(dir.names(), ["node.img", "sub", "v1"]);
    dir.tool("create -u -F raw -b ../new sub/new 1G").ok();
}

#[test]
fn an_output_that_cannot_be_written() {
    refused(
        "gone/x 1G",
        1,
        "cannot write \"gone/x\": No such file or directory (os error 2)",
    );
    let dir = Dir::new();
    let mut command = dir.command("sh");
    command
        .args(["-c", "exec \"$0\" create - 1G > /dev/full"])
        .arg(tool());
    Run::of(&mut command).fails(1, "standard output: No space left on device (os error 28)");
}

#[test]
fn a_closed_standard_output_is_no_image() {
    let dir = Dir::new();
    let mut command = dir.command("sh");
    command
        .args(["-c", "exec \"$0\" create - 1G >&-"])
        .arg(tool());
    Run::of(&mut command).fails(
        1,
        "standard output is closed; give the name of a file, or redirect it",
    );
    let mut command = dir.command("sh");
    command
        .args(["-c", "exec \"$0\" create - 1G > /dev/null"])
        .arg(tool());
    Run::of(&mut command).ok();
}

#[test]
fn a_file_of_which_nothing_can_be_said_is_not_left() {
    let dir = Dir::new();
    dir.tool("create -q node.qcow2 1G").ok();
    for arguments in ["create y 1G", "clone node.qcow2 y"] {
        let mut command = dir.command("sh");
        let script = format!("exec \"$0\" {arguments} > /dev/full");
        command.args(["-c", &script]).arg(tool());
        Run::of(&mut command).fails(1, "standard output: No space left on device (os error 28)");
        assert_eq!(dir.names(), ["node.qcow2"]);
    }
    // But one that was there before stays.
    dir.tool("clone node.qcow2 y").ok();
    let mut command = dir.command("sh");
    command
        .args(["-c", "exec \"$0\" clone node.qcow2 y > /dev/full"])
        .arg(tool());
    Run::of(&mut command).fails(1, "standard output: No space left on device (os error 28)");
    assert_eq!(dir.names(), ["node.qcow2", "y"]);
}

#[test]
fn images_that_cannot_be_described() {
    let dir = Dir::new();
    dir.tool("info gone")
        .fails(1, "\"gone\": No such file or directory (os error 2)");
    dir.write("short", b"QFI\xfb\0\0\0\x03");
    dir.tool("info short").fails(
        1,
        "\"short\": truncated qcow2 image: the header ends at byte 72, the file at byte 8",
    );
    dir.tool("create -q whole.qcow2 1G").ok();
    let whole = dir.read("whole.qcow2");
    for (offset, value, problem) in [
        (63, 1, "corrupt qcow2 image: snapshots_offset is 0 (0x0)"),
        (
            60,
            0xff,
            "corrupt qcow2 image: nb_snapshots is 4278190080 (0xff000000)",
        ),
        (35, 9, "corrupt qcow2 image: crypt_method is 9 (0x9)"),
        (
            78,
            1,
            "the qcow2 image needs a feature that this tool does not support: bit 8",
        ),
    ] {
        let mut broken = whole.clone();
        broken[offset] = value;
        dir.write("broken.qcow2", &broken);
        dir.tool("info broken.qcow2")
            .fails(1, &format!("\"broken.qcow2\": {problem}"));
    }
}

#[test]
fn tables_of_an_image_that_are_not_there() {
    let dir = Dir::new();
    dir.tool("create -q cut.qcow2 1G").ok();
    dir.tool("create -q -b cut.qcow2 top.qcow2").ok();
    let mut image = dir.read("cut.qcow2");
    // One snapshot, at the end of the last cluster, which the file does not fill.
    image[63] = 1;
    image[64..72].copy_from_slice(&0x3_0000_u64.to_be_bytes());
    dir.write("cut.qcow2", &image);
    let problem = "truncated qcow2 image: the snapshot table ends at byte 196648, \
                   the file at byte 196624";
    dir.tool("info cut.qcow2")
        .fails(1, &format!("\"cut.qcow2\": {problem}"));
    // In a chain the message names the image, and nothing else reads the table.
    dir.tool("info top.qcow2").ok();
    dir.tool("info --backing-chain top.qcow2").fails(
        1,
        &format!("\"top.qcow2\": its backing file \"cut.qcow2\": {problem}"),
    );
}

#[test]
fn a_closed_standard_output_is_no_panic() {
    let dir = Dir::new();
    let mut command = dir.command("sh");
    command
        .args(["-c", "\"$0\" --help > /dev/full"])
        .arg(tool());
    Run::of(&mut command).fails(1, "standard output: No space left on device (os error 28)");
}
