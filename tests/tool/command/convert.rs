//! `convert`: what it writes and prints when it succeeds.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Stdio;

use qcow2_overlay::{chain, Content, Conversion, DiskReader};

use crate::common::{tool, Dir, Run};

/// Returns bytes that are not zero and differ from one cluster to the next.
pub fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 509 + i) as u8 | 1).collect()
}

/// Returns a disk of nearly 6 MiB, with zeros between data, that ends within a cluster.
pub fn disk() -> Vec<u8> {
    let mut disk = vec![0; (6 << 20) - 1024];
    for (start, length) in [
        (0, 70_000),
        (1 << 20, 1 << 20),
        (3_000_000, 1),
        (5 << 20, 999),
    ] {
        disk[start..start + length].copy_from_slice(&data(length));
    }
    let end = disk.len();
    disk[end - 512..].fill(7);
    disk
}

/// Returns what a guest reads from an image.
pub fn read(dir: &Dir, name: &str) -> Vec<u8> {
    let reader = DiskReader::open(&dir.path(name), None).expect("a disk");
    let mut disk = vec![0; reader.virtual_size() as usize];
    reader.read_at(&mut disk, 0).expect("its data");
    disk
}

/// Returns all that changes when a file is written to.
pub fn state(dir: &Dir, name: &str) -> impl PartialEq {
    let metadata = fs::metadata(dir.path(name)).expect("metadata");
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    (modified, changed, metadata.blocks(), dir.read(name))
}

#[test]
fn a_raw_image_becomes_qcow2_with_only_its_data() {
    let dir = Dir::new();
    dir.write("disk.raw", &disk());
    let said = dir.tool("convert disk.raw disk.qcow2").ok();
    assert_eq!(said, "Wrote \"disk.qcow2\": 6 MiB disk\n");
    assert!(read(&dir, "disk.qcow2") == disk());
    // 21 clusters of data, and the header, an L1 and an L2 table, a refcount block and table.
    let metadata = fs::metadata(dir.path("disk.qcow2")).expect("metadata");
    assert_eq!(metadata.len(), (21 + 5) << 16);
    assert_eq!(dir.names(), ["disk.qcow2", "disk.raw"]);
}

#[test]
fn a_chain_becomes_one_file() {
    let dir = Dir::new();
    dir.write("base.raw", &disk());
    dir.tool("create -q -b base.raw middle.qcow2").ok();
    dir.tool("create -q -b middle.qcow2 top.qcow2 1G").ok();
    dir.tool("convert -q -o size=1G base.raw expected.qcow2")
        .ok();
    dir.tool("convert -q top.qcow2 disk.qcow2").ok();
    assert!(dir.read("disk.qcow2") == dir.read("expected.qcow2"));
}

#[test]
fn qcow2_becomes_raw_with_holes() {
    let dir = Dir::new();
    dir.write("disk.raw", &disk());
    dir.tool("convert -q -o cluster_size=4K disk.raw disk.qcow2")
        .ok();
    let said = dir.tool("convert -O raw disk.qcow2 again.raw").ok();
    assert_eq!(said, "Wrote \"again.raw\": 6 MiB raw disk\n");
    assert!(dir.read("again.raw") == disk());
    let metadata = fs::metadata(dir.path("again.raw")).expect("metadata");
    let on_disk = metadata.blocks() * 512;
    assert!(on_disk < 2 << 20, "{on_disk} bytes on disk");
    // A length that is not a whole number of sectors is rounded up.
    dir.write("odd.raw", &[1; 1000]);
    dir.tool("convert -q -O raw odd.raw even.raw").ok();
    assert!(dir.read("even.raw") == [&[1; 1000][..], &[0; 24]].concat());
}

/// Runs `convert` with `bytes` on its standard input.
fn convert_stream(dir: &Dir, bytes: &[u8], arguments: &str) -> Run {
    let mut command = dir.command(tool());
    command.args(arguments.split_whitespace());
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool starts");
    let mut stdin = child.stdin.take().expect("its standard input");
    // In pieces of an odd length; if the tool fails it may not read them all.
    let written = bytes
        .chunks(70_001)
        .try_for_each(|part| stdin.write_all(part));
    drop(stdin);
    let run = Run::from(child.wait_with_output().expect("its output"));
    assert!(written.is_ok() || run.status != Some(0));
    run
}

#[test]
fn a_stream_gives_the_same_bytes_as_a_file() {
    let dir = Dir::new();
    dir.write("disk.raw", &disk());
    dir.write("base.raw", &data(1 << 20));
    for options in [
        "",
        "-o size=1G",
        "-o cluster_size=512",
        "-o extended_l2=on,cluster_size=2M",
        "-B base.raw",
        "-B base.raw -o compat=0.10",
        "-c",
        "-c -B base.raw -o compression_type=zstd",
        "-O raw",
        "-O raw -o size=10M",
    ] {
        dir.tool(&format!("convert -q --force {options} disk.raw file"))
            .ok();
        let arguments = format!("convert -q --force {options} - stream");
        convert_stream(&dir, &disk(), &arguments).ok();
        assert!(dir.read("stream") == dir.read("file"), "{options}");
    }
}

#[test]
fn a_stream_shorter_than_its_base_ends_in_zeros() {
    let dir = Dir::new();
    dir.write("base.raw", &disk());
    dir.write("small.raw", &data(100_000));
    let size = disk().len();
    let options = format!("-B base.raw -o size={size}");
    dir.tool(&format!("convert -q {options} small.raw file"))
        .ok();
    let arguments = format!("convert -q {options} - stream");
    convert_stream(&dir, &data(100_000), &arguments).ok();
    let mut expected = data(100_000);
    expected.resize(size, 0);
    assert!(read(&dir, "file") == expected);
    assert!(dir.read("stream") == dir.read("file"));
}

#[test]
fn with_f_raw_a_qcow2_stream_is_raw_data() {
    let dir = Dir::new();
    dir.tool("create -q inner.qcow2 1G").ok();
    let inner = dir.read("inner.qcow2");
    convert_stream(&dir, &inner, "convert -q -f raw - outer.qcow2").ok();
    assert!(read(&dir, "outer.qcow2")[..inner.len()] == inner);
}

#[test]
fn a_panic_of_the_caller_ends_all_threads() {
    let dir = Dir::new();
    dir.write("disk.raw", &data(4 << 20));
    for threads in 1..=4 {
        let source = chain(&dir.path("disk.raw"), None).expect("a chain");
        let progress = |done| assert!(done < 2 << 20, "a panic that the test wants");
        let conversion = Conversion::to_raw(None)
            .threads(threads)
            .progress(&progress);
        let run = || conversion.write_file(&source, &dir.path("result"));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        assert!(result.is_err());
        assert_eq!(dir.names(), ["disk.raw"]);
    }
}

#[test]
fn an_overlay_holds_only_what_differs() {
    let dir = Dir::new();
    let base = disk();
    let mut new = base.clone();
    new[70_000..70_010].fill(9); // in the second cluster
    new[1 << 20..(1 << 20) + (128 << 10)].fill(0); // two clusters of data become zeros
    dir.write("base.raw", &base);
    dir.write("new.raw", &new);
    let said = dir.tool("convert -B base.raw new.raw top.qcow2").ok();
    assert_eq!(
        said,
        "Wrote \"top.qcow2\": 6 MiB overlay of \"base.raw\" (raw)\n"
    );
    assert!(read(&dir, "top.qcow2") == new);
    let reader = DiskReader::open(&dir.path("top.qcow2"), None).expect("a disk");
    let mut found = Vec::new();
    let mut offset = 0;
    while offset < reader.virtual_size() {
        let extent = reader.extent(offset, 1).expect("an extent");
        found.push((offset >> 16, extent.content));
        offset += extent.length;
    }
    let data = Content::Data {
        image: 0,
        offset: Some(2 << 16),
    };
    let unallocated = Content::Unallocated;
    assert_eq!(
        found,
        [
            (0, unallocated),
            (1, data),
            (2, unallocated),
            (16, Content::Zero),
            (18, unallocated)
        ]
    );
}

#[test]
fn a_base_that_also_backs_the_source_gives_the_same_bytes() {
    let dir = Dir::new();
    dir.write("base.raw", &disk());
    dir.tool("create -q -b base.raw top.qcow2 1G").ok();
    dir.tool("convert -q -B base.raw top.qcow2 own.qcow2").ok();
    // As in QEMU 11.1.
    dir.tool("convert -q -b base.raw top.qcow2 newer.qcow2")
        .ok();
    assert!(dir.read("newer.qcow2") == dir.read("own.qcow2"));
    let mut copy = disk();
    copy.resize(8 << 20, 0);
    dir.write("copy.raw", &copy);
    dir.tool("convert -q -B base.raw -o size=1G copy.raw other.qcow2")
        .ok();
    assert!(dir.read("own.qcow2") == dir.read("other.qcow2"));
    // Only the header, the L1 table and the refcounts.
    assert_eq!(dir.read("own.qcow2").len(), 4 << 16);
}

#[test]
fn probe_opens_another_path_than_the_backing_name() {
    let dir = Dir::new();
    dir.write("here.raw", &disk());
    dir.tool("convert -q -B /images/base --probe here.raw here.raw top.qcow2")
        .ok();
    let image = qcow2_overlay::ImageInfo::read(&dir.path("top.qcow2"), None).expect("an image");
    let header = image.header.expect("a header");
    assert_eq!(header.backing_name.as_deref(), Some(&b"/images/base"[..]));
    assert_eq!(header.backing_format(), Some(&b"raw"[..]));
}

#[test]
fn progress_goes_to_standard_error_and_quiet_prints_nothing() {
    let dir = Dir::new();
    dir.write("disk.raw", &disk());
    let run = dir.tool("convert -p disk.raw a.qcow2");
    let last = run.stderr.rsplit('\r').next().expect("a line");
    assert_eq!(last, "    (100.00/100%)\n");
    assert_eq!(run.ok(), "Wrote \"a.qcow2\": 6 MiB disk\n");
    let run = convert_stream(&dir, &disk(), "convert -q -p - b.qcow2");
    assert_eq!(run.stderr.rsplit('\r').next(), Some("    6 MiB       \n"));
    assert_eq!(run.ok(), "");
    let run = dir.tool("convert -q disk.raw c.qcow2");
    assert_eq!(run.stderr, "");
    assert_eq!(run.ok(), "");
}

#[test]
fn a_chain_is_never_written_to() {
    let dir = Dir::new();
    dir.write("base.raw", &disk());
    dir.tool("create -q -b base.raw top.qcow2 1G").ok();
    dir.write("other.raw", &data(1 << 20));
    let states = || ["base.raw", "top.qcow2", "other.raw"].map(|name| state(&dir, name));
    let before = states();
    for options in ["", "-O raw", "-B base.raw", "-B other.raw", "-B top.qcow2"] {
        dir.tool(&format!("convert -q --force {options} top.qcow2 result"))
            .ok();
    }
    assert!(before == states());
}

/// Runs `convert` with an address space of 64 MiB.
fn convert_in_64_mib(dir: &Dir, arguments: &str) {
    let script = format!("ulimit -v 65536 && exec \"$0\" convert -q --force {arguments}");
    dir.shell(&script).ok();
}

#[test]
fn takes_less_than_64_mib_of_memory_at_any_size() {
    if !cfg!(all(target_os = "linux", not(portable))) {
        return; // without holes, the 50 GiB are read
    }
    let dir = Dir::new();
    let file = File::create(dir.path("disk.raw")).expect("create");
    file.set_len(50 << 30).expect("set length");
    let bytes = data(4 << 20);
    // 40 MiB of data in one piece, far more than is read at once.
    for at in (0..10).chain([2500, (50 << 8) - 1]) {
        file.write_all_at(&bytes, at * (4 << 20)).expect("write");
    }
    for index in 0..500 {
        file.write_all_at(&bytes[..4096], index * (100 << 20))
            .expect("write");
    }
    convert_in_64_mib(&dir, "disk.raw disk.qcow2");
    // This has an L1 table of 12.5 MiB, and many L2 tables.
    convert_in_64_mib(&dir, "-o cluster_size=512 disk.qcow2 small.qcow2");
    for options in ["cluster_size=64K", "cluster_size=2M,compression_type=zstd"] {
        let target = format!("-c -o {options} disk.qcow2 compressed.qcow2");
        convert_in_64_mib(&dir, &target);
    }
    convert_in_64_mib(&dir, "compressed.qcow2 disk.qcow2");
    convert_in_64_mib(
        &dir,
        "-o cluster_size=2M,extended_l2=on small.qcow2 large.qcow2",
    );
    dir.tool("create -q -b small.qcow2 middle.qcow2 60G").ok();
    dir.tool("create -q -b middle.qcow2 top.qcow2 70G").ok();
    convert_in_64_mib(&dir, "-O raw top.qcow2 again.raw");
    convert_in_64_mib(&dir, "-o size=70G -B disk.qcow2 again.raw difference.qcow2");
    let image = fs::metadata(dir.path("difference.qcow2")).expect("metadata");
    assert!(image.len() < 1 << 20, "{} bytes differ", image.len());
}

#[test]
fn with_f_raw_a_qcow2_file_is_raw_data() {
    let dir = Dir::new();
    dir.tool("create -q image.qcow2 1M").ok();
    dir.tool("convert -q -f raw image.qcow2 disk.qcow2").ok();
    dir.tool("convert -q -O raw disk.qcow2 disk.raw").ok();
    let (image, disk) = (dir.read("image.qcow2"), dir.read("disk.raw"));
    assert!(disk.starts_with(&image) && disk.len() < image.len() + 512);
}
