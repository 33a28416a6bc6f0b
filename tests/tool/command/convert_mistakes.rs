//! Mistakes with `convert`: each gives one line and a status, and changes no file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use qcow2_overlay::Header;

use crate::common::Dir;
use crate::convert::data;

/// Returns a raw image of 1 MiB, an overlay of it, and a larger raw image.
pub fn images() -> Dir {
    let dir = Dir::new();
    dir.write("disk.raw", &data(1 << 20));
    dir.tool("create -q -b disk.raw top.qcow2").ok();
    dir.sparse("large.raw", 2 << 20);
    dir
}

/// Checks that `convert` with `arguments` fails with `message` and changes no file.
#[track_caller]
pub fn refused(dir: &Dir, arguments: &str, status: i32, message: &str) {
    let state = || -> Vec<_> {
        let names = dir.names().into_iter();
        names
            .map(|name| (fs::read(dir.path(&name)).ok(), name))
            .collect()
    };
    let before = state();
    dir.tool(&format!("convert {arguments}"))
        .fails(status, message);
    assert!(before == state(), "{:?}", dir.names());
}

#[test]
fn refuses_a_size_that_cuts_off_data() {
    let dir = images();
    let lost = "whose end would be cut off: give a larger one, as -o size=";
    let file = "(in a BUILD file: size)";
    let convert = "cannot convert \"disk.raw\" to \"x\":";
    refused(
        &dir,
        "-o size=512K disk.raw x",
        1,
        &format!(
            "{convert} the size asked for is 524288 bytes, less than the 1048576 bytes of the \
             source, {lost}1048576 {file}"
        ),
    );
    refused(
        &dir,
        "-B large.raw disk.raw x",
        1,
        &format!(
            "{convert} the size of the source is 1048576 bytes, less than the 2097152 bytes of the \
             backing file, {lost}2097152 {file}"
        ),
    );
    refused(
        &dir,
        "-B large.raw -o size=1.5M disk.raw x",
        1,
        &format!(
            "{convert} the size asked for is 1572864 bytes, less than the 2097152 bytes of the \
             backing file, {lost}2097152 {file}"
        ),
    );
}

#[test]
fn refuses_a_stream_of_the_wrong_size() {
    let dir = images();
    for (options, message) in [
        (
            "-o size=512K",
            "it has more than 524288 bytes, the size of the disk",
        ),
        (
            "-B large.raw",
            "the size of the source is 1048576 bytes, less than the 2097152 bytes of the backing \
             file, whose end would be cut off: give a larger one, as -o size=2097152 (in a BUILD \
             file: size)",
        ),
        (
            "-o cluster_size=512,size=1T",
            "size of 1099511627776 bytes is over the limit of 137438953472 bytes; \
             cluster_size=2048 would allow it",
        ),
    ] {
        dir.shell(&format!("\"$0\" convert {options} - x < disk.raw"))
            .fails(1, &format!("cannot convert \"-\" to \"x\": {message}"));
        assert_eq!(dir.names(), ["disk.raw", "large.raw", "top.qcow2"]);
    }
}

#[test]
fn refuses_an_output_that_must_not_be_replaced() {
    let dir = images();
    let there = "\"large.raw\" exists; --force replaces it";
    refused(&dir, "disk.raw large.raw", 1, there);
    for force in ["", "--force"] {
        for file in ["disk.raw", "top.qcow2", "./disk.raw"] {
            let message = format!("{file:?} is in the chain of \"top.qcow2\"; give another path");
            refused(&dir, &format!("{force} top.qcow2 {file}"), 1, &message);
        }
        for file in ["disk.raw", "top.qcow2"] {
            let message = format!(
                "{file:?} is in the chain of its backing file \"top.qcow2\"; give another path"
            );
            let arguments = format!("{force} -B top.qcow2 large.raw {file}");
            refused(&dir, &arguments, 1, &message);
        }
    }
    // By another name, too.
    fs::hard_link(dir.path("disk.raw"), dir.path("link")).expect("link");
    let message = "\"link\" is in the chain of \"top.qcow2\"; give another path";
    refused(&dir, "--force top.qcow2 link", 1, message);
    fs::set_permissions(dir.path("large.raw"), fs::Permissions::from_mode(0o444)).expect("chmod");
    let message = "cannot convert \"disk.raw\" to \"large.raw\": it exists and is write-protected";
    refused(&dir, "--force disk.raw large.raw", 1, message);
    dir.mkdir("folder");
    let message = "cannot convert \"disk.raw\" to \"folder\": it exists and is not a regular file";
    refused(&dir, "--force disk.raw folder", 1, message);
}

#[test]
fn refuses_a_source_that_cannot_be_read() {
    let dir = images();
    refused(
        &dir,
        "gone x",
        1,
        "\"gone\": No such file or directory (os error 2)",
    );
    dir.mkdir("folder");
    let message = "\"folder\": it is a directory, not an image file";
    refused(&dir, "folder x", 1, message);
    dir.write("disk.vmdk", b"KDMV................");
    let message = "\"disk.vmdk\": it is a VMDK image, neither raw nor qcow2";
    refused(&dir, "disk.vmdk x", 1, message);
    let message = "\"disk.raw\": it is not a qcow2 image: if it is raw, give -f raw (in a \
                   BUILD file: src_format = \"raw\")";
    refused(&dir, "-f qcow2 disk.raw x", 1, message);
    dir.remove("disk.raw");
    let message = "\"top.qcow2\": its backing file \"disk.raw\": No such file or directory \
                   (os error 2)";
    refused(&dir, "top.qcow2 x", 1, message);
}

#[test]
fn refuses_to_stream_anything_but_a_raw_source() {
    let dir = images();
    let message = "a qcow2 image cannot be read from standard input, because it is not read in \
                   order: give the name of a file";
    refused(&dir, "-f qcow2 - x", 2, message);
    let message = "FILE cannot be standard output, because it is not written in order: give a name";
    refused(&dir, "disk.raw -", 2, message);
    dir.shell("\"$0\" convert -f raw - x < /dev/null")
        .fails(1, "standard input is empty: a disk has at least one byte");
    for format in ["", "-O raw"] {
        let script = format!("\"$0\" convert {format} - x < top.qcow2");
        dir.shell(&script).fails(
            2,
            "standard input is a qcow2 image, which is not read in order: give the name of a \
             file, or -f raw if these bytes themselves are the disk",
        );
    }
    dir.write("disk.vmdk", b"KDMV................");
    dir.shell("\"$0\" convert - x < disk.vmdk").fails(
        1,
        "standard input: it is a VMDK image, neither raw nor qcow2",
    );
    assert!(!dir.path("x").exists());
}

#[test]
fn refuses_options_that_exclude_each_other() {
    let dir = images();
    let raw = "a raw image has neither a backing file nor options other than size: leave out \
               -O raw";
    refused(&dir, "-O raw -B disk.raw top.qcow2 x", 2, raw);
    refused(&dir, "-O raw -o backing_file=disk.raw top.qcow2 x", 2, raw);
    refused(&dir, "-O raw -o cluster_size=4K top.qcow2 x", 2, raw);
    let base = "-F and --probe require a backing file: -B NAME";
    refused(&dir, "-F raw disk.raw x", 2, base);
    refused(&dir, "--probe disk.raw disk.raw x", 2, base);
    refused(
        &dir,
        "-B disk.raw -o backing_file=large.raw disk.raw x",
        2,
        "give -B or -o backing_file, not both",
    );
    // In QEMU's create, -B is the format.
    refused(
        &dir,
        "-b large.raw -B raw disk.raw x",
        2,
        "-B and -b both name the backing file: give one of them, and its format with -F",
    );
    refused(
        &dir,
        "-b large.raw -o backing_file=large.raw disk.raw x",
        2,
        "give -B or -o backing_file, not both",
    );
    refused(
        &dir,
        "-o extended_l2=on,cluster_size=8K disk.raw x",
        1,
        "cannot convert \"disk.raw\" to \"x\": extended_l2=on needs a cluster_size of at least 16K",
    );
    refused(
        &dir,
        "disk.raw",
        2,
        "the following required arguments were not provided: <FILE>; --help shows the usage",
    );
}

#[test]
fn refuses_encrypted_and_external_data_anywhere_in_a_chain() {
    let dir = images();
    let header = Header::parse(&dir.read("top.qcow2")).expect("a header");
    let mut image = dir.read("top.qcow2");
    image.resize(1 << 20, 0);
    let aes = {
        let mut image = image.clone();
        image[32..36].copy_from_slice(&1_u32.to_be_bytes());
        image
    };
    let external = {
        let mut image = image.clone();
        image[79] |= 4;
        // The feature name table becomes the name of the data file.
        let at = header.encode();
        let at = at.windows(4).position(|word| word == b"\x68\x03\xf8\x57");
        let at = at.expect("a feature name table");
        image[at..at + 4].copy_from_slice(b"\x44\x41\x54\x41");
        image
    };
    for (name, image, what) in [
        (
            "aes.qcow2",
            aes,
            "its data is encrypted (aes) and cannot be read here: decrypt it",
        ),
        ("external.qcow2", external, "its data is in another file, "),
    ] {
        dir.write(name, &image);
        dir.tool(&format!("create -q -b {name} above.qcow2")).ok();
        for (source, place) in [
            (name, String::new()),
            ("above.qcow2", format!("in {name:?}: ")),
        ] {
            let run = dir.tool(&format!("convert {source} x"));
            let message =
                format!("qcow2-overlay: cannot convert {source:?} to \"x\": {place}{what}");
            assert!(run.stderr.starts_with(&message), "{}", run.stderr);
            assert_eq!(run.status, Some(1));
        }
        let run = dir.tool(&format!("convert -B {name} disk.raw x"));
        let message = "qcow2-overlay: cannot convert \"disk.raw\" to \"x\": in the backing file: ";
        let message = format!("{message}{what}");
        assert!(run.stderr.starts_with(&message), "{}", run.stderr);
        dir.remove("above.qcow2");
        assert!(!dir.path("x").exists());
    }
}
