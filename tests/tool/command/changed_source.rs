//! `convert` of images that change while they are read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use qcow2_overlay::{chain, Conversion, Existing, Format, Options, Source};

use crate::common::Dir;
use crate::convert::data;

/// A raw base of 2 MiB, an overlay of it, and another raw image, all of some time ago.
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

/// Converts top.qcow2, to an overlay of other.raw, while `change` is done to `name`.
fn convert_during(
    dir: &Dir,
    name: &str,
    change: impl Fn(&File) -> io::Result<()> + Sync,
) -> String {
    let options = Options::new(0).backing("other.raw", Some(Format::Raw));
    let conversion = Conversion::to_qcow2(options);
    let source = Source::Images(chain(&dir.path("top.qcow2"), None).expect("a chain"));
    let base = chain(&dir.path("other.raw"), None).expect("a chain");
    let is_changed = AtomicBool::new(false);
    let progress = |done| {
        // Some has been read by then, and some has not.
        if done >= 1 << 20 && !is_changed.swap(true, Ordering::SeqCst) {
            let file = File::options().write(true).open(dir.path(name));
            file.and_then(|file| change(&file)).expect("a change");
        }
    };
    let path = dir.path("result.qcow2");
    let result = conversion.write_file(&path, Existing::Replace, source, &base, &progress);
    assert!(is_changed.into_inner());
    let error = result.expect_err("an error").to_string();
    error.replace(dir.path("").to_str().expect("UTF-8"), "")
}

#[test]
fn what_is_appended_to_or_rewritten_is_an_error_and_leaves_nothing() {
    for name in ["base.raw", "top.qcow2", "other.raw"] {
        for (what, change) in [
            (
                "rewritten",
                (|file| file.write_all_at(b"x", 4096)) as fn(&File) -> io::Result<()>,
            ),
            ("appended to", |file| file.set_len(3 << 20)),
            // To where it is.
            ("cut", |file| file.set_len(file.metadata()?.len() - 1)),
        ] {
            let dir = images();
            let before = dir.names();
            let error = convert_during(&dir, name, change);
            // What is cut off is missed, or the time has changed.
            let is_told = error == format!("{name:?} was changed while it was read")
                || what == "cut" && error.ends_with("it was cut off while it was read");
            assert!(is_told, "{name} {what}: {error}");
            assert_eq!(dir.names(), before, "{name} {what}");
        }
    }
}

#[test]
fn what_is_cut_off_is_an_error_at_once() {
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
fn a_file_to_be_replaced_stays() {
    let dir = images();
    dir.write("result.qcow2", b"precious");
    convert_during(&dir, "base.raw", |file| file.write_all_at(b"x", 0));
    assert_eq!(dir.read("result.qcow2"), b"precious");
    assert_eq!(dir.names().len(), 4);
}

#[test]
fn a_file_that_takes_the_name_of_another_is_not_read_instead() {
    let dir = images();
    let images = chain(&dir.path("top.qcow2"), None).expect("a chain");
    fs::rename(dir.path("other.raw"), dir.path("base.raw")).expect("rename");
    let conversion = Conversion::to_raw();
    let path = dir.path("result.raw");
    let source = Source::Images(images);
    let error = conversion
        .write_file(&path, Existing::Keep, source, &[], &|_| ())
        .expect_err("an error");
    let name = format!("{:?}", dir.path("base.raw"));
    assert_eq!(
        error.to_string(),
        format!("{name} was replaced while it was read")
    );
    assert_eq!(dir.names(), ["base.raw", "top.qcow2"]);
}
