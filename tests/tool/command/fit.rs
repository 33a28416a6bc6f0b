//! `clone` and `exec` refuse a disk that does not match its base: an overlay can be created
//! without opening its base.

use crate::common::Dir;

/// A raw image and a qcow2 image of 2 MiB.
fn bases() -> Dir {
    let dir = Dir::new();
    dir.sparse("node.img", 2 << 20);
    dir.tool("create -q node.qcow2 2M").ok();
    dir
}

/// Checks that `clone` and `exec` refuse `overlay`, and leave nothing.
#[track_caller]
fn refused(dir: &Dir, overlay: &str, problem: &str) {
    let names = dir.names();
    let message = format!("{overlay:?}: {problem}");
    dir.tool(&format!("clone {overlay} disk"))
        .fails(1, &message);
    dir.tool(&format!("exec --disk A={overlay} -- touch it-ran"))
        .fails(1, &format!("disk A: {message}"));
    assert_eq!(dir.names(), names);
}

/// An entry in the L1 table, which is all that is looked at.
fn give_data(dir: &Dir, name: &str) {
    let mut bytes = dir.read(name);
    *bytes.last_mut().expect("an L1 table") = 1;
    dir.write(name, &bytes);
}

#[test]
fn a_disk_that_is_smaller_than_its_base() {
    let dir = bases();
    let cut = |base: &str| {
        format!(
            "its size of 1048576 bytes cuts off the end of its backing file {base:?}, of \
             2097152 bytes: give it a SIZE (in a BUILD file: size) of at least that"
        )
    };
    for (base, format) in [("node.img", "raw"), ("node.qcow2", "qcow2")] {
        dir.tool(&format!(
            "create -q --force -u -b {base} -F {format} cut.qcow2 1M"
        ))
        .ok();
        refused(&dir, "cut.qcow2", &cut(base));
        // It takes its size from the one beneath, as a target does that declares none, or
        // has a larger one.
        for size in ["1M", "2M"] {
            dir.tool(&format!(
                "create -q --force -u -b cut.qcow2 -F qcow2 top.qcow2 {size}"
            ))
            .ok();
            let problem = format!("in \"cut.qcow2\": {}", cut(base));
            refused(&dir, "top.qcow2", &problem);
        }
    }
    // The last byte counts, rounded to a sector.
    dir.sparse("node.img", (2 << 20) - 511);
    let create = "create -q --force -u -b node.img -F raw";
    dir.tool(&format!("{create} fits.qcow2 2M")).ok();
    dir.tool("clone fits.qcow2 disk").ok();
    dir.sparse("node.img", (2 << 20) + 1);
    dir.tool(&format!("{create} cut.qcow2 2M")).ok();
    refused(
        &dir,
        "cut.qcow2",
        "its size of 2097152 bytes cuts off the end of its backing file \"node.img\", of 2097664 \
         bytes: give it a SIZE (in a BUILD file: size) of at least that",
    );
}

#[test]
fn a_disk_that_was_shrunk_by_whoever_wrote_to_it() {
    let dir = bases();
    dir.tool("create -q -u -b node.img -F raw shrunk.qcow2 1M")
        .ok();
    give_data(&dir, "shrunk.qcow2");
    dir.tool("clone shrunk.qcow2 disk").ok();
    dir.tool("create -q -b shrunk.qcow2 top.qcow2").ok();
    dir.tool("clone top.qcow2 disk2").ok();
    // But an overlay of it must not cut it again.
    dir.tool("create -q -u -b shrunk.qcow2 -F qcow2 cut.qcow2 512K")
        .ok();
    refused(
        &dir,
        "cut.qcow2",
        "its size of 524288 bytes cuts off the end of its backing file \"shrunk.qcow2\", of \
         1048576 bytes: give it a SIZE (in a BUILD file: size) of at least that",
    );
}

#[test]
fn a_format_that_the_content_contradicts() {
    let dir = bases();
    dir.write("node.vmdk", b"KDMV");
    let base = |name: &str, problem: &str| format!("its backing file {name:?}: {problem}");
    let qcow2 = "it is a qcow2 image, not a raw one: give its overlay -F qcow2 (in a BUILD file: \
                 backing_format = \"qcow2\"); if these bytes themselves are the disk, convert it \
                 first with qcow2-overlay convert -f raw";
    let vmdk = "it is a VMDK image, and a backing file must be raw or qcow2: convert it with \
                qemu-img convert";
    let raw = "it is not a qcow2 image: if it is a raw one, give its overlay -F raw (in a BUILD \
               file: backing_format = \"raw\")";
    for (name, format, problem) in [
        ("node.qcow2", "raw", qcow2),
        ("node.vmdk", "raw", vmdk),
        ("node.img", "qcow2", raw),
    ] {
        dir.tool(&format!(
            "create -q --force -u -b {name} -F {format} v1.qcow2 2M"
        ))
        .ok();
        refused(&dir, "v1.qcow2", &base(name, problem));
        // Data in the overlay makes it no better.
        give_data(&dir, "v1.qcow2");
        refused(&dir, "v1.qcow2", &base(name, problem));
        dir.tool("create -q --force -u -b v1.qcow2 -F qcow2 v2.qcow2 2M")
            .ok();
        let problem = format!("in \"v1.qcow2\": {}", base(name, problem));
        refused(&dir, "v2.qcow2", &problem);
    }
    // A guest that encrypts its whole disk makes such a raw image.
    dir.write("node.img", b"LUKS\xba\xbe");
    dir.tool("create -q -u -b node.img -F raw luks.qcow2 2M")
        .ok();
    dir.tool("clone luks.qcow2 disk").ok();
}

#[test]
fn an_image_that_is_not_qcow2_itself() {
    let dir = bases();
    dir.write("node.vmdk", b"KDMV");
    for name in ["node.img", "node.vmdk"] {
        refused(
            &dir,
            name,
            "it is not a qcow2 image: create an overlay that is backed by it, and give that \
             (qcow2-overlay create -b; in a BUILD file: qcow2_overlay)",
        );
    }
}
