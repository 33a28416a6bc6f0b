//! `clone`: a writable disk like an overlay, in any directory.

use std::fs;
use std::process::Stdio;

use qcow2_overlay::{chain, Format};

use crate::common::{tool, Dir, Run};

/// Returns a base and an overlay of it, both in the directory `build`.
fn overlay() -> Dir {
    let dir = Dir::new();
    dir.mkdir("build");
    dir.sparse("build/node.img", 1 << 20);
    let options = "compat=1.1,cluster_size=32K";
    dir.tool(&format!(
        "create -q -o {options} -b node.img build/node.qcow2 1G"
    ))
    .ok();
    dir
}

#[test]
fn a_clone_has_the_same_base_by_an_absolute_path() {
    let dir = overlay();
    let base = fs::canonicalize(dir.path("build/node.img")).expect("a path");
    let said = dir.tool("clone build/node.qcow2 disk.qcow2").ok();
    assert_eq!(
        said,
        format!("Wrote \"disk.qcow2\": 1 GiB overlay of {base:?} (raw)\n")
    );
    let images = chain(&dir.path("disk.qcow2"), None).expect("a chain");
    let [disk, backing] = &images[..] else {
        panic!("{images:?}");
    };
    assert_eq!(backing.path, base);
    assert_eq!(disk.virtual_size, 1 << 30);
    assert_eq!(
        disk.header.as_ref().expect("a header").cluster_size(),
        32 << 10
    );
}

#[test]
fn an_overlay_with_data_backs_its_clone() {
    let dir = overlay();
    dir.give_data("build/node.qcow2");
    dir.tool("clone build/node.qcow2 disk.qcow2").ok();
    let images = chain(&dir.path("disk.qcow2"), None).expect("a chain");
    assert_eq!(images.len(), 3);
    assert_eq!(images[1].format, Format::Qcow2);
}

#[test]
fn a_clone_of_a_blank_disk_is_blank() {
    let dir = Dir::new();
    dir.tool("create -q blank.qcow2 1M").ok();
    dir.tool("clone blank.qcow2 disk.qcow2").ok();
    assert!(dir.read("disk.qcow2") == dir.read("blank.qcow2"));
}

#[test]
fn a_second_clone_succeeds_only_if_the_first_is_unused() {
    let dir = overlay();
    dir.tool("clone build/node.qcow2 disk.qcow2").ok();
    let again = dir.tool("clone build/node.qcow2 disk.qcow2").ok();
    assert!(
        again.starts_with("\"disk.qcow2\" is there already: 1 GiB"),
        "{again}"
    );

    dir.give_data("disk.qcow2");
    let used = dir.read("disk.qcow2");
    let refused = dir.tool("clone build/node.qcow2 disk.qcow2");
    refused.fails(1, "\"disk.qcow2\" exists; --force replaces it");
    assert!(dir.read("disk.qcow2") == used);
    dir.tool("clone --force build/node.qcow2 disk.qcow2").ok();
    assert!(dir.read("disk.qcow2") != used);
}

#[test]
fn concurrent_clones_of_one_name_all_succeed() {
    let dir = overlay();
    let overlay = fs::canonicalize(dir.path("build/node.qcow2")).expect("a path");
    for round in 0..20 {
        let clones: Vec<_> = (0..16)
            .map(|_| {
                let mut command = dir.command(tool());
                command.arg("clone").arg(&overlay);
                command.arg(format!("disk{round}.qcow2"));
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().expect("the tool starts")
            })
            .collect();
        let mut written = 0;
        for clone in clones {
            let output = clone.wait_with_output().expect("its output");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{error}");
            written += u32::from(said.starts_with("Wrote"));
        }
        assert_eq!(written, 1);
    }
}

#[test]
fn refuses_to_overwrite_a_file_of_the_chain() {
    let dir = overlay();
    for name in ["build/node.qcow2", "build/node.img"] {
        let before = dir.read(name);
        dir.tool(&format!("clone --force build/node.qcow2 {name}"))
            .fails(
                1,
                &format!("{name:?} is in the chain of \"build/node.qcow2\"; give another path"),
            );
        assert!(dir.read(name) == before);
    }
}

#[test]
fn a_missing_base_is_named() {
    let dir = overlay();
    dir.remove("build/node.img");
    dir.tool("clone build/node.qcow2 disk.qcow2").fails(
        1,
        "\"build/node.qcow2\": its backing file \"build/node.img\": \
         No such file or directory (os error 2)",
    );
    assert_eq!(dir.names(), ["build"]);
}

#[test]
fn a_clone_can_be_larger() {
    let dir = overlay();
    dir.tool("clone --size 40G build/node.qcow2 disk.qcow2")
        .ok();
    let images = chain(&dir.path("disk.qcow2"), None).expect("a chain");
    assert_eq!(images[0].virtual_size, 40 << 30);
    let again = dir
        .tool("clone --size 40G build/node.qcow2 disk.qcow2")
        .ok();
    assert!(again.contains("is there already: 40 GiB"), "{again}");
    let other = dir.tool("clone build/node.qcow2 disk.qcow2");
    other.fails(1, "\"disk.qcow2\" exists; --force replaces it");
    // A size that is the same after rounding up changes nothing.
    dir.tool("clone --size 1G build/node.qcow2 same.qcow2").ok();
    dir.tool("clone --size 1073741823 build/node.qcow2 same.qcow2")
        .ok();
    dir.tool("clone build/node.qcow2 same.qcow2").ok();

    dir.tool("clone --size 512M build/node.qcow2 small.qcow2")
        .fails(
            1,
            "--size of 536870912 bytes is smaller than \"build/node.qcow2\", \
             of 1073741824 bytes: its end would be cut off",
        );
    let limit = "size of 1125899906842624 bytes is over the limit of 562949953421312 bytes; \
                 cluster_size=65536 would allow it";
    dir.tool("clone --size 1P build/node.qcow2 large.qcow2")
        .fails(1, limit);
    let number = "give bytes, or a number with one of the suffixes K, M, G, T, P, E";
    let sign = "give the whole size, without a sign";
    for (size, right) in [("+10G", sign), ("-1", sign), ("ten", number)] {
        dir.tool(&format!("clone --size {size} build/node.qcow2 bad.qcow2"))
            .fails(2, &format!("--size: invalid size {size:?}: {right}"));
    }
    assert_eq!(dir.names(), ["build", "disk.qcow2", "same.qcow2"]);
}

#[test]
fn a_run_target_clones_the_image_beside_it() {
    // The rules set it up like this for `bazel run //build:node -- disk.qcow2`.
    let dir = overlay();
    fs::create_dir_all(dir.path("build/node.runfiles/_main")).expect("mkdir");
    std::os::unix::fs::symlink(tool(), dir.path("build/node")).expect("symlink");
    let run = |arguments: &[&str]| {
        let mut command = dir.command(dir.path("build/node"));
        command.current_dir(dir.path("build/node.runfiles/_main"));
        command.env("BUILD_WORKING_DIRECTORY", dir.path(""));
        command.env("QCOW2_OVERLAY_IMAGE", "node.qcow2");
        Run::of(command.args(arguments))
    };
    run(&["disk.qcow2"]).ok();
    let said = run(&["large.qcow2", "--size", "40G"]).ok();
    assert!(
        said.starts_with("Wrote \"large.qcow2\": 40 GiB overlay"),
        "{said}"
    );
    assert_eq!(dir.names(), ["build", "disk.qcow2", "large.qcow2"]);
    let usage = "give a PATH to write a disk to: \
                 bazel run TARGET -- [--size SIZE] [--force] PATH; --help explains it";
    run(&[]).fails(2, usage);
    let help = run(&["--help"]).ok();
    assert!(help.contains("\nUsage: bazel run TARGET -- [--size SIZE]"));
    assert!(!help.contains("OVERLAY"), "{help}");
}
