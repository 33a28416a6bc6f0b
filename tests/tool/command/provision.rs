//! `provision`: what it keeps and prints when it succeeds.

use std::fs;
use std::process::Command;

use qcow2_overlay::{CompressionType, ImageInfo};

use crate::common::{tool, Dir, Run};
use crate::convert::{data, disk, read, state};
use crate::exec::blockdev;

/// Returns a base, `base.raw`, a disk that differs from it, `new.raw`, and that disk as a qcow2
/// image, `new.qcow2`.
pub fn images() -> Dir {
    let dir = Dir::new();
    let mut new = disk();
    dir.write("base.raw", &new);
    new[70_000..70_010].fill(9);
    new[1 << 20..(1 << 20) + (128 << 10)].fill(0);
    dir.write("new.raw", &new);
    dir.tool("convert -q new.raw new.qcow2").ok();
    dir
}

/// Returns `provision` with the words of `arguments` and a shell script in which `$0` is the tool.
pub fn command(dir: &Dir, arguments: &str, script: &str) -> Command {
    let mut command = dir.command(tool());
    command.arg("provision").args(arguments.split_whitespace());
    command.args(["--", "sh", "-c", script]).arg(tool());
    command
}

/// Runs [`command`].
pub fn provision(dir: &Dir, arguments: &str, script: &str) -> Run {
    Run::of(&mut command(dir, arguments, script))
}

/// Writes the content of `$FROM` to the disk.
const REPLACE: &str = "\"$0\" convert -q --force $FROM $DISK";

#[test]
fn the_command_finds_an_empty_overlay() {
    let dir = images();
    let script =
        "echo $DISK; cp $DISK copy.qcow2; printf %s \"$DISK_BLOCKDEV\" > blockdev; pwd; cat";
    dir.write("input", b"from stdin\n");
    let arguments = "-q -b base.raw -o cluster_size=4K top.qcow2 1G";
    let mut command = command(&dir, arguments, script);
    command.stdin(fs::File::open(dir.path("input")).expect("open"));
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let [disk, directory, input] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    let here = fs::canonicalize(dir.path("")).expect("a path");
    assert_eq!(
        (directory, input),
        (here.to_str().expect("UTF-8"), "from stdin")
    );
    // It is on the file system of the new image.
    let place = disk.strip_prefix(directory).expect("a place here");
    assert!(
        place.starts_with("/.qcow2-overlay-") && place.ends_with("/DISK.qcow2"),
        "{place}"
    );

    let base = fs::canonicalize(dir.path("base.raw")).expect("a path");
    let images = qcow2_overlay::chain(&dir.path("copy.qcow2"), None).expect("a chain");
    let header = images[0].header.as_ref().expect("a header");
    assert_eq!(
        (images[0].virtual_size, header.cluster_size()),
        (1 << 30, 4096)
    );
    assert_eq!(images[1].path, base);
    assert!(!images[0].has_data().expect("its tables"));

    let value: serde_json::Value =
        serde_json::from_slice(&dir.read("blockdev")).expect("one JSON value");
    assert_eq!(value, blockdev("DISK", disk, &base));
}

#[test]
fn the_output_of_the_command_comes_before_our_message_in_one_stream() {
    let dir = images();
    let script = "echo out; echo oops >&2; echo more; exit 1";
    let run = provision(&dir, "-b base.raw top.qcow2", script);
    assert_eq!(
        run.stderr,
        "out\noops\nmore\n\
         qcow2-overlay: \"sh\" failed with status 1; its changes were discarded\n"
    );
    assert!(run.stdout.is_empty(), "{:?}", run.stdout);
    // What was written is said as by the other commands.
    let run = provision(&dir, "-b base.raw top.qcow2", "echo out");
    assert_eq!(run.stderr, "out\n");
    assert_eq!(
        run.ok(),
        "Wrote \"top.qcow2\": 6 MiB overlay of \"base.raw\" (raw)\n"
    );
}

#[test]
fn only_what_the_command_writes_to_the_disk_is_kept() {
    let dir = images();
    dir.tool("convert -q -B base.raw new.raw expected.qcow2")
        .ok();
    let before = dir.names();
    let script = format!("FROM=new.qcow2; {REPLACE}; touch $(dirname $DISK)/more");
    let said = provision(&dir, "-b base.raw top.qcow2", &script).ok();
    assert_eq!(
        said,
        "Wrote \"top.qcow2\": 6 MiB overlay of \"base.raw\" (raw)\n"
    );
    assert!(read(&dir, "top.qcow2") == dir.read("new.raw"));
    assert!(dir.read("top.qcow2") == dir.read("expected.qcow2"));
    let mut names = before;
    names.push("top.qcow2".to_owned());
    assert_eq!(dir.names(), names);
    assert_eq!(
        provision(&dir, "-q -b base.raw quiet.qcow2", &script).ok(),
        ""
    );
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let dir = images();
    dir.tool("convert -q -B base.raw new.raw expected.qcow2")
        .ok();
    dir.tool("convert -q -o size=6M,cluster_size=512 new.raw small.qcow2")
        .ok();
    dir.write("noise.raw", &data((6 << 20) - 1024));
    for (name, script) in [
        ("a copy", "cat new.qcow2 > $DISK"),
        ("a move", "cp new.qcow2 moved.qcow2 && mv moved.qcow2 $DISK"),
        (
            "clusters",
            "\"$0\" convert -q --force -o cluster_size=2M new.raw $DISK",
        ),
        (
            "subclusters",
            "\"$0\" convert -q --force -o extended_l2=on new.raw $DISK",
        ),
        (
            "version 2",
            "\"$0\" convert -q --force -o compat=0.10 new.raw $DISK",
        ),
        (
            "overlay",
            "\"$0\" convert -q --force -B $PWD/base.raw new.raw $DISK",
        ),
        (
            "another base",
            "\"$0\" convert -q --force -B $PWD/noise.raw new.raw $DISK",
        ),
        (
            "overwritten",
            "\"$0\" convert -q --force -B $PWD/base.raw noise.raw $DISK && \
             \"$0\" convert -q --force -B $PWD/base.raw new.raw $DISK",
        ),
    ] {
        provision(&dir, "-q --force -b base.raw top.qcow2", script).ok();
        assert!(
            dir.read("top.qcow2") == dir.read("expected.qcow2"),
            "{name}"
        );
    }
}

#[test]
fn a_command_that_writes_nothing_gives_an_empty_overlay() {
    let dir = images();
    dir.tool("convert -q -B base.raw base.raw expected.qcow2")
        .ok();
    for script in ["true", "\"$0\" convert -q --force base.raw $DISK"] {
        provision(&dir, "-q --force -b base.raw top.qcow2", script).ok();
        assert!(dir.read("top.qcow2") == dir.read("expected.qcow2"));
    }
    let image = ImageInfo::read(&dir.path("top.qcow2"), None).expect("an image");
    assert!(!image.has_data().expect("its tables"));
}

#[test]
fn a_base_is_read_and_never_written_to() {
    let dir = images();
    let mut content = disk();
    let mut base = "base.raw".to_owned();
    let mut seen: Vec<String> = vec![base.clone()];
    let states = |names: &[String]| -> Vec<_> { names.iter().map(|it| state(&dir, it)).collect() };
    for version in 1..=3_u8 {
        // Outputs of Bazel have these permissions, but root can write to them.
        for name in &seen {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o555);
            fs::set_permissions(dir.path(name), mode).expect("chmod");
        }
        let before = states(&seen);
        let start = usize::from(version) * 1_000_000;
        content[start..start + 99].fill(version);
        dir.write("content.raw", &content);
        let top = format!("v{version}.qcow2");
        let arguments = format!("-q -b {base} {top}");
        provision(&dir, &arguments, &format!("FROM=content.raw; {REPLACE}")).ok();
        assert!(read(&dir, &top) == content, "{top}");
        assert!(before == states(&seen), "{top}");
        seen.push(top.clone());
        base = top;
    }
    let images = qcow2_overlay::chain(&dir.path("v3.qcow2"), None).expect("a chain");
    assert_eq!(images.len(), 4);
    // One cluster of data, and the header, an L1 and an L2 table, a refcount block and table.
    for image in &images[..3] {
        assert_eq!(image.file_length, (1 + 5) << 16, "{:?}", image.path);
    }
}

#[test]
fn the_size_comes_from_the_base_the_arguments_or_the_command() {
    let dir = images();
    dir.tool("convert -q -o size=8M new.raw large.qcow2").ok();
    dir.tool("create -q -b base.raw larger-base.qcow2 7M").ok();
    for (name, arguments, script, expected) in [
        ("base", "-b base.raw top.qcow2", "true", (6 << 20) - 1024),
        ("base", "-b larger-base.qcow2 top.qcow2", "true", 7 << 20),
        ("SIZE", "-b base.raw top.qcow2 7M", "true", 7 << 20),
        (
            "-o size",
            "-b base.raw -o size=7000000 top.qcow2",
            "true",
            7_000_064,
        ),
        (
            "COMMAND",
            "-b base.raw top.qcow2",
            "cat large.qcow2 > $DISK",
            8 << 20,
        ),
        // With both, zeros follow if the command makes the disk smaller than SIZE.
        (
            "both",
            "-b base.raw top.qcow2 8M",
            "cat large.qcow2 > $DISK",
            8 << 20,
        ),
        (
            "both",
            "-b base.raw top.qcow2 9M",
            "cat large.qcow2 > $DISK",
            9 << 20,
        ),
    ] {
        provision(&dir, &format!("-q --force {arguments}"), script).ok();
        let image = ImageInfo::read(&dir.path("top.qcow2"), None).expect("an image");
        assert_eq!(image.virtual_size, expected, "{name}: {arguments}");
        let start = dir.read(if script == "true" {
            "base.raw"
        } else {
            "new.raw"
        });
        let found = read(&dir, "top.qcow2");
        assert!(found.starts_with(&start), "{arguments}");
        assert!(
            found[start.len()..].iter().all(|&byte| byte == 0),
            "{arguments}"
        );
    }
}

#[test]
fn the_image_has_the_given_options() {
    let dir = images();
    for options in [
        "cluster_size=4K",
        "compat=0.10",
        "extended_l2=on,lazy_refcounts=on,refcount_bits=64",
    ] {
        let convert = format!("convert -q --force -B base.raw -o {options} new.raw expected.qcow2");
        dir.tool(&convert).ok();
        let arguments = format!("-q --force -o {options} -b base.raw -F raw top.qcow2");
        provision(&dir, &arguments, "cat new.qcow2 > $DISK").ok();
        assert!(
            dir.read("top.qcow2") == dir.read("expected.qcow2"),
            "{options}"
        );
    }
    // The backing file as an option, with another name than it has now.
    let arguments = "-q -o backing_file=/later/base,backing_fmt=raw --probe base.raw later.qcow2";
    provision(&dir, arguments, "true").ok();
    let image = ImageInfo::read(&dir.path("later.qcow2"), None).expect("an image");
    let header = image.header.expect("a header");
    assert_eq!(header.backing_name.as_deref(), Some(&b"/later/base"[..]));
    assert_eq!(header.backing_format(), Some(&b"raw"[..]));
}

#[test]
fn the_disk_itself_needs_no_reader_of_zstd() {
    let dir = images();
    let arguments = "-q -c -o compression_type=zstd -b base.raw top.qcow2";
    let script = "\"$0\" info $DISK > seen; cat new.qcow2 > $DISK";
    provision(&dir, arguments, script).ok();
    let seen = String::from_utf8(dir.read("seen")).expect("text");
    assert!(seen.contains("compression type: zlib"), "{seen}");
    let image = ImageInfo::read(&dir.path("top.qcow2"), None).expect("an image");
    let compression = image.header.expect("a header").compression;
    assert_eq!(compression, CompressionType::Zstd as u8);
}

#[test]
fn only_force_replaces_a_file() {
    let dir = images();
    dir.write("top.qcow2", b"precious");
    provision(&dir, "-b base.raw top.qcow2", "touch it-ran")
        .fails(1, "\"top.qcow2\" exists; --force replaces it");
    assert_eq!(dir.read("top.qcow2"), b"precious");
    assert!(!dir.path("it-ran").exists());
    // Even if it appears while the command runs.
    dir.remove("top.qcow2");
    provision(&dir, "-b base.raw top.qcow2", "printf precious > top.qcow2")
        .fails(1, "\"top.qcow2\" exists; --force replaces it");
    assert_eq!(dir.read("top.qcow2"), b"precious");
    // The command still finds the old file.
    provision(
        &dir,
        "-q --force -b base.raw top.qcow2",
        "cat top.qcow2 > seen",
    )
    .ok();
    assert_eq!(dir.read("seen"), b"precious");
    ImageInfo::read(&dir.path("top.qcow2"), Some(qcow2_overlay::Format::Qcow2)).expect("an image");
}

#[test]
fn a_process_may_keep_the_disk_open_for_reading() {
    let dir = images();
    let script = "cat new.qcow2 > $DISK; sleep 9 < $DISK > /dev/null 2>&1 & echo $! > pid";
    let run = provision(&dir, "-q -b base.raw top.qcow2", script);
    let pid = String::from_utf8(dir.read("pid")).expect("a number");
    dir.shell(&format!("kill {pid}")).ok();
    run.ok();
    assert!(read(&dir, "top.qcow2") == dir.read("new.raw"));
}
