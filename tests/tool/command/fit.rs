//! `clone` and `exec` refuse a disk that does not match its base. `create -u` does not open the
//! base, so it cannot check that.

use crate::common::Dir;

/// Returns a raw image and a qcow2 image of 2 MiB.
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

#[test]
fn refuses_a_disk_smaller_than_its_base() {
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
        // An overlay of it has the same size, like a target without `size`, or a larger one.
        for size in ["1M", "2M"] {
            dir.tool(&format!(
                "create -q --force -u -b cut.qcow2 -F qcow2 top.qcow2 {size}"
            ))
            .ok();
            let problem = format!("in \"cut.qcow2\": {}", cut(base));
            refused(&dir, "top.qcow2", &problem);
        }
    }
    // The size of the base is rounded up to a sector.
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
fn accepts_a_disk_with_data_that_was_shrunk() {
    let dir = bases();
    dir.tool("create -q -u -b node.img -F raw shrunk.qcow2 1M")
        .ok();
    dir.give_data("shrunk.qcow2");
    dir.tool("clone shrunk.qcow2 disk").ok();
    dir.tool("create -q -b shrunk.qcow2 top.qcow2").ok();
    dir.tool("clone top.qcow2 disk2").ok();
    // But an overlay must not be smaller than that.
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
fn refuses_a_format_that_the_content_contradicts() {
    let dir = bases();
    dir.write("node.vmdk", b"KDMV");
    let base = |name: &str, problem: &str| format!("its backing file {name:?}: {problem}");
    let qcow2 = "it is a qcow2 image, not a raw one: give its overlay -F qcow2 (in a BUILD file: \
                 backing_format = \"qcow2\"); if these bytes themselves are the disk, convert it \
                 first with qcow2-overlay convert -f raw";
    let vmdk = "it is a VMDK image, and a backing file must be raw or qcow2: convert it with \
                qemu-img convert";
    let raw = "it is not a qcow2 image: if it is raw, give its overlay -F raw (in a BUILD \
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
        // Data in the overlay does not change that.
        dir.give_data("v1.qcow2");
        refused(&dir, "v1.qcow2", &base(name, problem));
        dir.tool("create -q --force -u -b v1.qcow2 -F qcow2 v2.qcow2 2M")
            .ok();
        let problem = format!("in \"v1.qcow2\": {}", base(name, problem));
        refused(&dir, "v2.qcow2", &problem);
    }
    // This is what a raw disk looks like whose guest encrypts all of it.
    dir.write("node.img", b"LUKS\xba\xbe");
    dir.tool("create -q -u -b node.img -F raw luks.qcow2 2M")
        .ok();
    dir.tool("clone luks.qcow2 disk").ok();
}

#[test]
fn refuses_an_image_that_is_not_qcow2() {
    let dir = bases();
    refused(
        &dir,
        "node.img",
        "it is not a qcow2 image: create an overlay that is backed by it, and give that \
         (qcow2-overlay create -b; in a BUILD file: qcow2_overlay)",
    );
    dir.write("node.vmdk", b"KDMV");
    refused(
        &dir,
        "node.vmdk",
        "it is a VMDK image, and a backing file must be raw or qcow2: convert it with qemu-img \
         convert",
    );
}
