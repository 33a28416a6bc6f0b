//! `create`: what it writes and prints when it succeeds.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use qcow2_overlay::{Format, Header, ImageInfo, Version};

use crate::common::{skip, tool, Dir, Run};

/// Returns the header of the qcow2 image `name`.
fn header(dir: &Dir, name: &str) -> Header {
    let image = ImageInfo::read(&dir.path(name), Some(Format::Qcow2)).expect("an image");
    image.header.expect("a header")
}

#[test]
fn an_overlay_is_as_large_as_its_base() {
    let dir = Dir::new();
    dir.sparse("node.img", 100 << 20);
    let said = dir.tool("create -b node.img disk.qcow2").ok();
    assert_eq!(
        said,
        "Wrote \"disk.qcow2\": 100 MiB overlay of \"node.img\" (raw)\n"
    );
    let header = header(&dir, "disk.qcow2");
    assert_eq!(header.virtual_size, 100 << 20);
    assert_eq!(header.backing_name.as_deref(), Some(&b"node.img"[..]));
    assert_eq!(header.backing_format(), Some(&b"raw"[..]));
    assert_eq!(header.version, Version::V3);
}

#[test]
fn a_raw_base_of_odd_length_is_rounded_up() {
    let dir = Dir::new();
    dir.sparse("node.img", 1000);
    dir.tool("create -b node.img disk.qcow2").ok();
    assert_eq!(header(&dir, "disk.qcow2").virtual_size, 1024);
}

#[test]
fn a_qcow2_base_has_the_size_of_its_disk_not_of_its_file() {
    let dir = Dir::new();
    dir.tool("create base.qcow2 20G").ok();
    dir.tool("create -b base.qcow2 disk.qcow2").ok();
    let header = header(&dir, "disk.qcow2");
    assert_eq!(header.virtual_size, 20 << 30);
    assert_eq!(header.backing_format(), Some(&b"qcow2"[..]));
}

#[test]
fn a_backing_name_is_relative_to_the_overlay() {
    let dir = Dir::new();
    dir.mkdir("images");
    dir.mkdir("disks");
    dir.sparse("images/node.img", 4096);
    dir.tool("create -b ../images/node.img disks/disk.qcow2")
        .ok();
    let name = header(&dir, "disks/disk.qcow2").backing_name;
    assert_eq!(name.as_deref(), Some(&b"../images/node.img"[..]));
}

#[test]
fn the_format_of_the_base_is_spelled_as_in_old_or_new_qemu() {
    let dir = Dir::new();
    dir.sparse("node.img", 4096);
    for letter in ["-F", "-B"] {
        dir.tool(&format!(
            "create -q -u -b node.img {letter} qcow2 with{letter} 1G"
        ))
        .ok();
        let header = header(&dir, &format!("with{letter}"));
        assert_eq!(header.backing_format(), Some(&b"qcow2"[..]));
        dir.tool(&format!(
            "provision -q -b node.img {letter} raw top{letter} -- true"
        ))
        .ok();
    }
    assert!(dir.read("with-F") == dir.read("with-B"));
}

#[test]
fn with_u_the_base_is_not_opened() {
    let dir = Dir::new();
    dir.tool("create -u -b later.img -F raw disk.qcow2 1.5G")
        .ok();
    assert_eq!(header(&dir, "disk.qcow2").virtual_size, 3 << 29);
    // Not even if it is there, and neither as large as given nor of that format.
    dir.sparse("later.img", 2 << 30);
    dir.tool("create --force -u -b later.img -F qcow2 disk.qcow2 1M")
        .ok();
    let options = "-u --no-backing-format -b later.img";
    dir.tool(&format!("create --force {options} disk.qcow2 1M"))
        .ok();
    assert_eq!(header(&dir, "disk.qcow2").backing_format(), None);
}

#[test]
fn probe_opens_another_path_than_the_backing_name() {
    let dir = Dir::new();
    dir.tool("create base.qcow2 3M").ok();
    dir.tool("create -b /images/base --probe base.qcow2 disk.qcow2")
        .ok();
    let header = header(&dir, "disk.qcow2");
    assert_eq!(header.virtual_size, 3 << 20);
    assert_eq!(header.backing_name.as_deref(), Some(&b"/images/base"[..]));
    assert_eq!(header.backing_format(), Some(&b"qcow2"[..]));
}

#[test]
fn standalone_refuses_an_overlay() {
    let dir = Dir::new();
    dir.tool("create base.qcow2 3M").ok();
    dir.tool("create --standalone -b base.qcow2 overlay.qcow2")
        .ok();
    dir.tool("create --standalone -b overlay.qcow2 disk.qcow2")
        .fails(
        1,
        "backing file \"overlay.qcow2\" is itself an overlay of \"base.qcow2\", and --standalone \
             allows none: in a BUILD file, give a qcow2_overlay or another target with Qcow2Info \
             in place of a plain file",
    );
    dir.tool("convert --standalone base.qcow2 copy.qcow2").ok();
    // Even if the base is missing.
    dir.remove("base.qcow2");
    dir.tool("convert --standalone overlay.qcow2 disk.qcow2")
        .fails(
            1,
            "\"overlay.qcow2\" is itself an overlay of \"base.qcow2\", and --standalone allows \
             none: in a BUILD file, give a qcow2_overlay or another target with Qcow2Info in \
             place of a plain file",
        );
    assert_eq!(dir.names(), ["copy.qcow2", "overlay.qcow2"]);
}

#[test]
fn o_takes_every_option() {
    let dir = Dir::new();
    dir.write("a,b.img", b"");
    let options = "cluster_size=128k,refcount_bits=1,lazy_refcounts=on,extended_l2=on,\
                   size=1M,backing_file=a,,b.img,backing_fmt=raw,compat=v3";
    dir.tool(&format!("create -f qcow2 -o {options} disk.qcow2"))
        .ok();
    let header = header(&dir, "disk.qcow2");
    assert_eq!(header.cluster_size(), 128 << 10);
    assert_eq!(header.refcount_bits(), 1);
    assert!(header.has_lazy_refcounts() && header.has_extended_l2());
    assert_eq!(header.backing_name.as_deref(), Some(&b"a,b.img"[..]));
}

#[test]
fn a_pebibyte_takes_a_few_kilobytes_on_disk() {
    let dir = Dir::new();
    dir.tool("create -u -b base -F raw disk.qcow2 1P").ok();
    let metadata = fs::metadata(dir.path("disk.qcow2")).expect("metadata");
    assert_eq!(metadata.len(), 3 * 65536 + 8 * (1 << 21));
    assert!(
        metadata.blocks() * 512 < 32 << 10,
        "{}",
        metadata.blocks() * 512
    );
}

#[test]
fn standard_output_gets_the_same_bytes_as_a_file() {
    let dir = Dir::new();
    dir.sparse("base", 1 << 20);
    dir.tool("create -q -b base -F raw disk.qcow2 100G").ok();
    let streamed = dir.tool("create -b base -F raw - 100G");
    assert_eq!(streamed.stderr, "");
    assert!(streamed.stdout == dir.read("disk.qcow2"));
}

#[test]
fn force_replaces_and_quiet_prints_nothing() {
    let dir = Dir::new();
    dir.write("disk.qcow2", b"old");
    assert_eq!(dir.tool("create -q --force disk.qcow2 1M").ok(), "");
    assert_eq!(header(&dir, "disk.qcow2").virtual_size, 1 << 20);
    assert_eq!(dir.names(), ["disk.qcow2"]);
}

#[test]
fn a_file_that_replaces_another_has_its_mode_and_owner() {
    let dir = Dir::new();
    for mode in [0o600, 0o640, 0o666, 0o751] {
        dir.write("disk.qcow2", b"old");
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(dir.path("disk.qcow2"), permissions).expect("chmod");
        // Only root can do that, and not in a sandbox that has one user.
        let owned = std::os::unix::fs::chown(dir.path("disk.qcow2"), Some(1234), Some(5678));
        if let Err(error) = owned {
            skip(&format!("chown: {error}"));
        }
        let before = fs::metadata(dir.path("disk.qcow2")).expect("metadata");
        dir.tool("create -q --force disk.qcow2 1M").ok();
        let after = fs::metadata(dir.path("disk.qcow2")).expect("metadata");
        let kept = |found: &fs::Metadata| (found.mode(), found.uid(), found.gid());
        assert_eq!(kept(&after), kept(&before));
        assert_eq!(header(&dir, "disk.qcow2").virtual_size, 1 << 20);
        dir.remove("disk.qcow2");
    }
}

#[test]
fn a_symbolic_link_is_replaced_itself() {
    let dir = Dir::new();
    dir.write("target", b"precious");
    std::os::unix::fs::symlink("target", dir.path("disk.qcow2")).expect("symlink");
    dir.tool("create -q --force disk.qcow2 1M").ok();
    assert_eq!(dir.read("target"), b"precious");
    assert!(!dir.path("disk.qcow2").is_symlink());
}

#[test]
fn the_umask_applies_to_a_new_file() {
    let dir = Dir::new();
    dir.shell("umask 027; exec \"$0\" create -q disk.qcow2 1M")
        .ok();
    let metadata = fs::metadata(dir.path("disk.qcow2")).expect("metadata");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
}

#[test]
fn bazel_run_starts_in_the_directory_of_the_user() {
    // `bazel run` runs a program in its runfiles tree.
    let dir = Dir::new();
    fs::create_dir_all(dir.path("tool.runfiles/_main")).expect("mkdir");
    dir.mkdir("user");
    std::os::unix::fs::symlink(tool(), dir.path("tool")).expect("symlink");
    let mut command = dir.command(dir.path("tool"));
    command.current_dir(dir.path("tool.runfiles/_main"));
    command.env("BUILD_WORKING_DIRECTORY", dir.path("user"));
    Run::of(command.args(["create", "disk.qcow2", "1M"])).ok();
    assert!(dir.path("user/disk.qcow2").exists());
}

#[test]
fn a_program_under_bazel_run_can_choose_the_directory() {
    let dir = Dir::new();
    dir.mkdir("user");
    let mut command = dir.command(tool());
    command.env("BUILD_WORKING_DIRECTORY", dir.path("user"));
    Run::of(command.args(["create", "disk.qcow2", "1M"])).ok();
    assert_eq!(dir.names(), ["disk.qcow2", "user"]);
}

#[test]
fn a_backing_name_may_begin_with_a_hyphen() {
    let dir = Dir::new();
    dir.sparse("-node.img", 512);
    dir.tool("create -b -node.img disk.qcow2").ok();
}
