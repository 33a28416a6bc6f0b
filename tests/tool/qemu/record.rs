//! QEMU ignores our record of backing files, and keeps it.

use std::fs;

use qcow2_overlay::{chain, BackingState, FileState};

use crate::common::Dir;
use crate::info::json_of;
use crate::{pattern, qemu_io};

/// Returns a base, overlays of it with various options, and a clone of each.
fn clones() -> Dir {
    let dir = Dir::new();
    dir.sparse("node.img", 1 << 20);
    for (name, options) in [
        ("v3", "compat=1.1"),
        ("v2", "compat=0.10"),
        ("small", "cluster_size=4K"),
        ("subclusters", "extended_l2=on"),
        ("lazy", "lazy_refcounts=on"),
    ] {
        dir.tool(&format!(
            "create -q -o {options} -b node.img {name}.build 1G"
        ))
        .ok();
        dir.tool(&format!("clone {name}.build {name}.qcow2")).ok();
    }
    dir
}

const DISKS: [&str; 5] = [
    "v3.qcow2",
    "v2.qcow2",
    "small.qcow2",
    "subclusters.qcow2",
    "lazy.qcow2",
];

fn backing_file_states(dir: &Dir, disk: &str) -> Vec<FileState> {
    let images = chain(&dir.path(disk), None).expect("a chain");
    let header = images[0].header.as_ref().expect("a header");
    header
        .backing_file_states()
        .expect("a record")
        .expect("states")
}

#[test]
fn qemu_keeps_the_record_whatever_it_does_to_the_disk() {
    let dir = clones();
    for disk in DISKS {
        let before = backing_file_states(&dir, disk);
        let unchanged = |what: &str| {
            let when = format!("{disk} after {what}");
            assert_eq!(backing_file_states(&dir, disk), before, "{when}");
            let images = chain(&dir.path(disk), None).expect("a chain");
            assert_eq!(BackingState::of(&images), BackingState::Unchanged, "{when}");
            dir.check(disk, &when);
        };
        unchanged("clone");
        qemu_io(&dir, "write -P 1 0 4M", disk);
        unchanged("write");
        dir.qemu_img(&format!("snapshot -c one {disk}"));
        unchanged("snapshot");
        dir.qemu_img(&format!("snapshot -a one {disk}"));
        dir.qemu_img(&format!("snapshot -d one {disk}"));
        unchanged("snapshot -d");
        dir.qemu_img(&format!("resize -q {disk} 2G"));
        unchanged("resize");
        match disk {
            "v2.qcow2" => dir.qemu_img(&format!("amend -f qcow2 -o compat=1.1 {disk}")),
            // A version 2 image cannot have subclusters.
            "subclusters.qcow2" => dir.qemu_img(&format!("amend -o lazy_refcounts=on {disk}")),
            _ => dir.qemu_img(&format!("amend -f qcow2 -o compat=0.10 {disk}")),
        };
        unchanged("amend");
        if disk == "v2.qcow2" {
            dir.qemu_img(&format!("bitmap --add {disk} changes"));
            unchanged("bitmap");
        }
    }
}

#[test]
fn info_describes_a_clone_as_qemu_img_does() {
    let dir = clones();
    for disk in DISKS {
        let ours = dir.tool(&format!("info {disk}")).ok();
        assert_eq!(ours, dir.qemu_img(&format!("info {disk}")));
        let ours = json_of(&dir.tool(&format!("info --output json {disk}")).ok());
        let theirs = dir.qemu_img(&format!("info --output json {disk}"));
        assert_eq!(ours, json_of(&theirs));
        // What the chain adds is one key.
        let chain = format!("info --backing-chain --output json {disk}");
        let mut ours = json_of(&dir.tool(&chain).ok());
        let record = ours[0].as_object_mut().expect("an object");
        let unchanged = serde_json::json!({"state": "unchanged"});
        assert_eq!(record.remove("backing-record"), Some(unchanged));
        assert_eq!(ours, json_of(&dir.qemu_img(&chain)));
    }
}

#[test]
fn a_kept_disk_is_read_over_a_base_that_was_built_again() {
    let dir = clones();
    let base = pattern(1 << 20);
    dir.write("node.img", &base);
    dir.tool("clone --force v3.build v3.qcow2").ok();
    qemu_io(&dir, "write -P 7 64k 64k", "v3.qcow2");
    let convert = "convert -q v3.qcow2 flat.qcow2";
    dir.write("new.img", &base);
    fs::rename(dir.path("new.img"), dir.path("node.img")).expect("rename");
    let refused = dir.tool(convert).stderr;
    assert!(refused.contains("--allow-changed-base"), "{refused}");
    dir.tool(&format!("{convert} --allow-changed-base")).ok();
    dir.check("flat.qcow2", "the merged disk");
    dir.qemu_img("compare v3.qcow2 flat.qcow2");
    qemu_io(&dir, "read -P 7 64k 64k", "flat.qcow2");
}
