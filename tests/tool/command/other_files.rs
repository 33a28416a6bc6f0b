//! Files that are given as a disk and are none: they are refused unless `raw` is declared.

use std::process::Command;

use crate::common::{Dir, Run};
use crate::convert::data;

/// Returns whether a program is installed.
fn has(program: &str) -> bool {
    let mut found = Command::new("sh");
    Run::of(found.args(["-c", "command -v \"$0\"", program])).status == Some(0)
}

/// Programs, commands that print an archive of `disk.img`, and what that is. Where a program is
/// missing, [`REMEDIES`] still has what the message says.
const PACKERS: [(&str, &str, &str); 15] = [
    ("gzip", "gzip -c disk.img", "compressed by gzip"),
    ("bzip2", "bzip2 -c disk.img", "compressed by bzip2"),
    ("xz", "xz -c disk.img", "compressed by xz"),
    ("xz", "xz -c --format=lzma disk.img", "compressed by lzma"),
    ("zstd", "zstd -qc disk.img", "compressed by zstd"),
    ("lz4", "lz4 -qc disk.img", "compressed by lz4"),
    ("lz4", "lz4 -qlc disk.img", "compressed by lz4"),
    ("lzip", "lzip -c disk.img", "compressed by lzip"),
    ("lzop", "lzop -qc disk.img", "compressed by lzop"),
    (
        "compress",
        "compress -fc disk.img",
        "compressed by compress",
    ),
    ("zip", "zip -q - disk.img", "a zip archive"),
    ("tar", "tar --format=gnu -cf - disk.img", "a tar archive"),
    ("tar", "tar --format=pax -cf - disk.img", "a tar archive"),
    (
        "7z",
        "7z a -bd x.7z disk.img >&2 && cat x.7z && rm x.7z",
        "a 7z archive",
    ),
    (
        "cpio",
        "echo disk.img | cpio --quiet -o -H newc",
        "a cpio archive",
    ),
];

/// Checks that every command refuses the file `packed`, which is `what`, and takes it as raw.
#[track_caller]
fn refused_unless_raw(dir: &Dir, what: &str) {
    // This one does not record the format of its base.
    let unrecorded = "create -q -u -b packed --no-backing-format top.qcow2 8M";
    dir.tool(unrecorded).ok();
    let before = dir.names();
    let base = "give its overlay -F raw (in a BUILD file: backing_format = \"raw\")";
    let source = "give -f raw (in a BUILD file: src_format = \"raw\")";
    for (command, place, advice) in [
        ("create -b packed x", "backing file \"packed\"", base),
        (
            "create -b packed -F qcow2 x",
            "backing file \"packed\"",
            base,
        ),
        (
            "convert -B packed disk.img x",
            "backing file \"packed\"",
            base,
        ),
        (
            "provision -b packed x -- touch x",
            "backing file \"packed\"",
            base,
        ),
        (
            "clone top.qcow2 x",
            "\"top.qcow2\": its backing file \"packed\"",
            base,
        ),
        (
            "exec --disk A=top.qcow2 -- touch x",
            "disk A: \"top.qcow2\": its backing file \"packed\"",
            base,
        ),
        ("convert packed x", "\"packed\"", source),
        ("info packed", "\"packed\"", ""),
    ] {
        let run = dir.tool(command);
        let message = run.stderr.trim_end();
        let start = format!("qcow2-overlay: {place}: it is {what}; ");
        assert!(message.starts_with(&start), "{command}: {message}");
        assert!(message.ends_with(advice), "{command}: {message}");
        assert_eq!(message.contains("themselves"), !advice.is_empty());
        assert_eq!((message.lines().count(), run.status), (1, Some(1)));
        assert_eq!(dir.names(), before, "{command}");
    }
    let message = dir.shell("\"$0\" convert - x < packed").stderr;
    let start = format!("qcow2-overlay: standard input: it is {what}; ");
    assert!(message.starts_with(&start), "{message}");
    assert!(message.trim_end().ends_with(source), "{message}");

    let mut bytes = dir.read("packed");
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    for command in [
        "create -q -b packed -F raw x",
        "provision -q -b packed -F raw x -- true",
        "convert -q -B packed -F raw -f raw packed x",
        "convert -q -f raw packed x",
        "convert -q -f raw - x < packed",
    ] {
        dir.shell(&format!("\"$0\" {command}")).ok();
        dir.tool("clone x y").ok();
        dir.tool("convert -q -O raw y z").ok();
        assert!(dir.read("z") == bytes, "{command}");
        dir.shell("rm x y z").ok();
    }
    dir.shell("rm top.qcow2").ok();
}

#[test]
fn what_a_program_packs_is_refused_with_the_command_that_unpacks_it() {
    let mut tested = Vec::new();
    for (program, pack, what) in PACKERS.into_iter().filter(|packer| has(packer.0)) {
        tested.push(program);
        let dir = Dir::new();
        dir.write("disk.img", &data(1 << 20));
        dir.shell(&format!("{{ {pack}; }} > packed")).ok();
        refused_unless_raw(&dir, what);

        // The message says how to get the disk.
        let message = dir.tool("create -b packed x").stderr;
        let (_, rest) = message.split_once("unpack ").expect("advice");
        let (_, rest) = rest.split_once(": ").expect("a command");
        let (command, _) = rest.split_once(" (in a BUILD file").expect("an end");
        let command = command
            .replace("FILE", "packed")
            .replace("IMAGE", "disk.img")
            .replace("qcow2-overlay", "\"$0\"");
        // There may be no unzip where there is a zip.
        if has(command.split(' ').next().expect("a word")) {
            dir.shell(&command).ok();
            dir.tool("convert -q -O raw disk.qcow2 unpacked").ok();
            assert!(dir.read("unpacked") == dir.read("disk.img"), "{command}");
        }
    }
    assert!(
        tested.contains(&"gzip") && tested.contains(&"tar"),
        "{tested:?}"
    );
}

#[test]
fn a_packed_qcow2_image_is_noticed_as_it_is_unpacked() {
    let dir = Dir::new();
    dir.tool("create -q disk.qcow2 1G").ok();
    let run = dir.shell("gzip disk.qcow2 && gzip -dc disk.qcow2.gz | \"$0\" convert - x");
    assert!(
        run.stderr.contains("standard input is a qcow2 image"),
        "{}",
        run.stderr
    );
    assert_eq!(dir.names(), ["disk.qcow2.gz"]);
}

/// What a file can be, and how the message says to get the disk.
const REMEDIES: [(&str, &str); 20] = [
    ("compressed by gzip", "gzip -dc FILE |"),
    ("compressed by bzip2", "bzip2 -dc FILE |"),
    ("compressed by xz", "xz -dc FILE |"),
    ("compressed by lzma", "xz -dc FILE |"),
    ("compressed by zstd", "zstd -dc FILE |"),
    ("compressed by lz4", "lz4 -dc FILE |"),
    ("compressed by lzip", "lzip -dc FILE |"),
    ("compressed by lzop", "lzop -dc FILE |"),
    ("compressed by compress", "gzip -dc FILE |"),
    ("a zip archive", "unzip -p FILE IMAGE |"),
    ("a 7z archive", "7z x -so FILE IMAGE |"),
    ("a rar archive", "unrar p -inul FILE IMAGE |"),
    ("a cpio archive", "cpio -i --to-stdout IMAGE < FILE |"),
    ("an Android sparse image", "simg2img FILE disk.raw &&"),
    ("an EWF image", "ewfexport -u -t disk FILE &&"),
    ("a WIM archive", "apply it to a disk: it has only files;"),
    ("an HTML page", "download the image itself;"),
    ("an XML document", "download the image itself;"),
    ("a Git LFS pointer", "git lfs pull fetches the image;"),
    ("a git-annex pointer", "git annex get fetches the image;"),
];

#[test]
fn other_files_are_known_by_their_first_bytes() {
    // The numbers of the specifications that src/format/other_file.rs names.
    for (start, what) in [
        (&b"\x1f\x8b\x08\x00"[..], "compressed by gzip"),
        (b"BZh11AY&SY", "compressed by bzip2"),
        (b"BZh9\x17\x72\x45\x38\x50\x90", "compressed by bzip2"),
        (b"\xfd7zXZ\0\0\x04", "compressed by xz"),
        (
            b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0",
            "compressed by lzma",
        ),
        (b"\x5d\0\0\x60\0\0\0\0\x80\0\0\0\0\0", "compressed by lzma"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
        (b"\x50\x2a\x4d\x18", "compressed by zstd"),
        (b"\x5f\x2a\x4d\x18", "compressed by zstd"),
        (b"\x04\x22\x4d\x18", "compressed by lz4"),
        (b"\x02\x21\x4c\x18", "compressed by lz4"),
        (b"LZIP\x01\x14", "compressed by lzip"),
        (b"\x89LZO\0\r\n\x1a\n", "compressed by lzop"),
        (b"\x1f\x9d\x90", "compressed by compress"),
        (b"PK\x03\x04", "a zip archive"),
        (b"PK\x05\x06", "a zip archive"),
        (b"PK\x07\x08", "a zip archive"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7z archive"),
        (b"Rar!\x1a\x07\0", "a rar archive"),
        (b"Rar!\x1a\x07\x01\0", "a rar archive"),
        (b"070701", "a cpio archive"),
        (b"070702", "a cpio archive"),
        (b"070707", "a cpio archive"),
        (b"\x3a\xff\x26\xed\x01\0\0\0", "an Android sparse image"),
        (b"EVF\x09\x0d\x0a\xff\0\x01", "an EWF image"),
        (b"EVF2\x0d\x0a\x81\0", "an EWF image"),
        (b"MSWIM\0\0\0", "a WIM archive"),
        (b"WLPWM\0\0\0", "a WIM archive"),
        (b"<!DOCTYPE html>\n<html>", "an HTML page"),
        (b"\xef\xbb\xbf\n\n<HTML lang=\"en\">", "an HTML page"),
        (b"<?xml version=\"1.0\"?>\n<Error>", "an XML document"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:",
            "a Git LFS pointer",
        ),
        (b"/annex/objects/SHA256E-s1--x.img\n", "a git-annex pointer"),
    ] {
        let dir = Dir::new();
        let remedy = REMEDIES.iter().find(|(known, _)| *known == what);
        let (_, remedy) = remedy.expect("a remedy");
        // A file that ends there, and one that goes on.
        for length in [start.len(), 4000] {
            let mut content = start.to_vec();
            content.resize(length, 0);
            dir.write("packed", &content);
            let message = dir.tool("create -b packed x").stderr;
            let beginning = format!("qcow2-overlay: backing file \"packed\": it is {what}; ");
            let rest = message.strip_prefix(&beginning);
            let rest = rest.unwrap_or_else(|| panic!("{what}: {message}"));
            assert!(rest.contains(remedy), "{what}: {message}");
            assert_eq!(dir.names(), ["packed"]);
            dir.tool("create -q -b packed -F raw x").ok();
            dir.remove("x");
        }
    }
}

#[test]
fn a_disk_is_taken_for_nothing_else() {
    let tar = {
        let dir = Dir::new();
        dir.write("member", b"content");
        dir.shell("tar -cf tar member").ok();
        dir.read("tar")
    };
    let with = |offset: usize, bytes: &[u8]| {
        let mut disk = tar.clone();
        disk[offset..offset + bytes.len()].copy_from_slice(bytes);
        disk
    };
    let mut partitioned = b"\xfd7zXZ\0".to_vec();
    partitioned.resize(512, 0);
    partitioned[510..].copy_from_slice(b"\x55\xaa");
    for content in [
        // A partitioned disk on which there was an archive.
        &partitioned[..],
        &with(446, b"\x80\x01"),
        &with(510, b"\x55\xaa"),
        // Data of a guest: a text, a program, a key of Ignition, numbers.
        b"#!/bin/sh\nexit\n",
        b"{\"ignition\": {\"version\": \"3.0.0\"}}",
        b"\x7fELF\x02\x01\x01",
        b"html",
        b"PK",
        b"BZh9 is no header",
        b"\x1f\x8b\x00\x00",
        b"\x1f\x8b\x08\xff",
        b"\x1f\x9d\xff",
        b"\x60\x2a\x4d\x18",
        b"\x5d\0\0\x81\0\xff\xff\xff\xff\xff\xff\xff\xff\0",
        b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\x7f\0",
        b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x5d\x01\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x5d\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x3a\xff\x26\xed\x02\0\0\0",
        b"",
    ] {
        let dir = Dir::new();
        dir.write("disk.img", content);
        let said = dir.tool("create -b disk.img x").ok();
        assert!(said.contains("overlay of \"disk.img\" (raw)"), "{said}");
    }
}
