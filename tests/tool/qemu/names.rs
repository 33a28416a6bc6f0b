//! Unusual names of base files: the tool stores them unchanged, and QEMU finds the files.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::common::{tool, Dir, Run};
use crate::pattern;

const NAMES: [&[u8]; 12] = [
    b"with space.img",
    b"with \"double\" and 'single' quotes.img",
    b"./colon:in:name.img",
    b"./json:{}",
    b"./nbd:localhost:1",
    b"b\xc3\xa4se.img",
    b"not utf-8 \xff\xfe.img",
    b"new\nline.img",
    b"back\\slash.img",
    b"comma,comma,,comma.img",
    b"%s $HOME `id`.img",
    b"-b",
];

#[test]
fn qemu_finds_a_base_with_any_name() {
    for name in NAMES {
        let dir = Dir::new();
        let path = OsStr::from_bytes(name);
        let base = pattern(65536);
        fs::write(dir.path("").join(path), &base).expect("write");
        let run = |program: &OsStr, words: &[&str], last: &str| {
            let mut command = dir.command(program);
            Run::of(command.args(words).arg("-b").arg(path).arg(last)).ok()
        };
        let create = ["create", "-q", "-f", "qcow2", "-F", "raw"];
        run(tool().as_os_str(), &create, "ours.qcow2");
        run("qemu-img".as_ref(), &create, "theirs.qcow2");
        assert!(
            dir.read("ours.qcow2") == dir.read("theirs.qcow2"),
            "{path:?}"
        );
        dir.qemu_img("convert -O raw ours.qcow2 flat.img");
        assert!(dir.read("flat.img") == base, "{path:?}");

        // The same name in -o, where a comma is doubled.
        let mut option = b"backing_fmt=raw,backing_file=".to_vec();
        for &byte in name {
            option.extend(std::iter::repeat_n(byte, 1 + usize::from(byte == b',')));
        }
        let mut command = dir.command(tool());
        command.args(["create", "-q", "--force", "-o"]);
        Run::of(command.arg(OsString::from_vec(option)).arg("ours.qcow2")).ok();
        assert!(
            dir.read("ours.qcow2") == dir.read("theirs.qcow2"),
            "{path:?}"
        );

        // A clone stores its absolute path.
        dir.tool("clone ours.qcow2 clone.qcow2").ok();
        dir.qemu_img("convert -O raw clone.qcow2 flat.img");
        assert!(dir.read("flat.img") == base, "{path:?}");
    }
}

#[test]
fn refuses_a_name_that_qemu_takes_for_a_protocol() {
    for name in [
        &b"nbd:localhost:1"[..],
        b"json:{}",
        b"file:base.img",
        b"a:b",
        b":",
    ] {
        let dir = Dir::new();
        let path = OsStr::from_bytes(name);
        fs::write(dir.path("").join(path), [0; 512]).expect("write");
        let mut command = dir.command(tool());
        let run = Run::of(
            command
                .args(["create", "-b"])
                .arg(path)
                .args(["-F", "raw", "x", "1M"]),
        );
        assert_eq!(run.status, Some(1), "{path:?}");
        assert!(
            run.stderr.contains("put \"./\" before it"),
            "{}",
            run.stderr
        );
        assert_eq!(dir.names(), [path.to_str().expect("UTF-8")]);
    }
}
