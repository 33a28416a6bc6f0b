//! `convert` of images that change while they are read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use qcow2_overlay::{chain, Conversion, Existing, Format, Options};

use crate::common::Dir;
use crate::convert::data;

/// Returns a raw base of 2 MiB, an overlay of it, and another raw image, all a minute old.
fn images() -> Dir {
    let dir = Dir::new();
    dir.write("base.raw", &data(2 << 20));
    dir.write("other.raw", &data(2 << 20));
    dir.tool("create -q -b base.raw top.qcow2").ok();
    for name in dir.names() {
        let file = File::options().write(true).open(dir.path(&name));
        let time = SystemTime::now() - Duration::from_secs(60);
        let set = file.expect("open").set_modified(time);
        set.expect("set the time");
    }
    dir
}

/// Converts top.qcow2 to an overlay of other.raw, applies `change` to the file `name` meanwhile,
/// and returns the error.
fn convert_during(
    dir: &Dir,
    name: &str,
    change: impl Fn(&File) -> io::Result<()> + Sync,
) -> String {
    let options = Options::default().backing("other.raw", Some(Format::Raw));
    let source = chain(&dir.path("top.qcow2"), None).expect("a chain");
    let base = chain(&dir.path("other.raw"), None).expect("a chain");
    let is_changed = AtomicBool::new(false);
    let progress = |done| {
        // By then a part of the source has been read.
        if done >= 1 << 20 && !is_changed.swap(true, Ordering::SeqCst) {
            let file = File::options().write(true).open(dir.path(name));
            file.and_then(|file| change(&file)).expect("a change");
        }
    };
    let result = Conversion::to_qcow2(options)
        .base(&base)
        .existing(Existing::Replace)
        .progress(&progress)
        .write_file(&source, &dir.path("result.qcow2"));
    assert!(is_changed.into_inner());
    let error = format!("{:#}", result.expect_err("an error"));
    error.replace(dir.path("").to_str().expect("UTF-8"), "")
}

#[test]
fn a_changed_file_is_an_error_and_leaves_nothing() {
    for name in ["base.raw", "top.qcow2", "other.raw"] {
        for (what, change) in [
            (
                "rewritten",
                (|file| file.write_all_at(b"x", 4096)) as fn(&File) -> io::Result<()>,
            ),
            ("appended to", |file| file.set_len(3 << 20)),
            // It keeps the part that has been read.
            ("truncated", |file| file.set_len(file.metadata()?.len() - 1)),
        ] {
            let dir = images();
            let before = dir.names();
            let error = convert_during(&dir, name, change);
            // Either a read misses what was cut off, or the time has changed.
            let is_reported = error == format!("{name:?} was changed while it was read")
                || what == "truncated" && error.ends_with("it was cut off while it was read");
            assert!(is_reported, "{name} {what}: {error}");
            assert_eq!(dir.names(), before, "{name} {what}");
        }
    }
}

#[test]
fn a_truncated_file_is_an_error_at_once() {
    for (name, message) in [
        (
            "base.raw",
            "in \"base.raw\": it was cut off while it was read",
        ),
        (
            "other.raw",
            "in the backing file: it was cut off while it was read",
        ),
    ] {
        let dir = images();
        let error = convert_during(&dir, name, |file| file.set_len(512 << 10));
        assert_eq!(error, message);
    }
}

#[test]
fn a_failed_conversion_keeps_the_old_file() {
    let dir = images();
    dir.write("result.qcow2", b"precious");
    convert_during(&dir, "base.raw", |file| file.write_all_at(b"x", 0));
    assert_eq!(dir.read("result.qcow2"), b"precious");
    assert_eq!(dir.names().len(), 4);
}

#[test]
fn refuses_a_base_that_was_replaced() {
    let dir = images();
    let images = chain(&dir.path("top.qcow2"), None).expect("a chain");
    fs::rename(dir.path("other.raw"), dir.path("base.raw")).expect("rename");
    let error = Conversion::to_raw(None)
        .write_file(&images, &dir.path("result.raw"))
        .expect_err("an error");
    let name = format!("{:?}", dir.path("base.raw"));
    assert_eq!(
        error.to_string(),
        format!("{name} was replaced while it was read")
    );
    assert_eq!(dir.names(), ["base.raw", "top.qcow2"]);
}
