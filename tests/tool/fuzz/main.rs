//! Replays the seeds of the fuzzers and what they found. To run the fuzzers:
//!
//! ```sh
//! cargo install cargo-fuzz
//! QCOW2_SEEDS=tests/tool/fuzz/corpus cargo test --test fuzz   # writes the seeds
//! RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/tool/fuzz TARGET
//! ```
//!
//! The targets are `header`, `tables`, `options` and `convert`, and for the reader of guest data
//! `reader` (any bytes), `mapping` (images made from a [`recipe`]) and `compressed`. What the
//! reader returns is compared with a [`model`] of the specification.
//!
//! A finding is added to the seeds below, so that it is replayed from then on.

mod compressed;
mod convert;
mod disks;
mod mapping;
mod model;
mod properties;
mod reader;
mod recipe;
mod sparse;

use std::env;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use qcow2_overlay::{Bitmap, Extension, Format, Header, Layout, Options, Snapshot, Version};

/// Returns headers of each kind: whole, truncated, and with each byte changed.
fn headers() -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    for options in [
        Options::new(0),
        Options::new(1 << 30).backing("node.img", Some(Format::Raw)),
        Options::new(1 << 30)
            .backing("node.img", None)
            .version(Version::V2),
        Options::new(1 << 30).version(Version::V2).cluster_size(512),
        Options::new(1 << 40).extended_l2(true).lazy_refcounts(true),
        Options::new(1 << 50).backing("n".repeat(1023), Some(Format::Qcow2)),
        Options::new(1 << 20).cluster_size(4096).refcount_bits(1),
    ] {
        let layout = Layout::new(&options).expect("a layout");
        whole.push(layout.header().encode());
    }
    let mut headers = whole.clone();
    for header in whole {
        for offset in 0..header.len().min(140) {
            headers.push(header[..offset].to_vec());
            for bit in [0, 3, 7] {
                let mut changed = header.clone();
                changed[offset] ^= 1 << bit;
                headers.push(changed);
            }
        }
    }
    headers
}

/// Returns two images of clusters of 512 bytes, one with a snapshot and one with a bitmap, each
/// with the smallest possible entry.
fn images() -> Vec<Vec<u8>> {
    let options = Options::new(1 << 20).cluster_size(512);
    let layout = Layout::new(&options).expect("a layout");

    let mut header = layout.header().clone();
    header.snapshot_count = 1;
    header.snapshots_offset = 512;
    let mut snapshot = header.encode();
    snapshot.resize(512, 0);
    snapshot.extend([0; 40]);
    snapshot.extend(b"1name");
    snapshot[512 + 13] = 1;
    snapshot[512 + 15] = 4;

    let mut header = layout.header().clone();
    header.autoclear_features = Header::BITMAPS;
    let mut data = vec![0; 24];
    data[3] = 1; // bitmaps
    data[15] = 32; // bytes in the directory
    data[22] = 2; // its offset: 512
    let kind = Extension::BITMAPS;
    header.extensions.push(Extension { kind, data });
    let mut bitmap = header.encode();
    bitmap.resize(512, 0);
    bitmap.extend([0; 24]);
    bitmap.extend(b"name\0\0\0\0");
    bitmap[512 + 6] = 2; // its table: 512
    bitmap[512 + 11] = 1; // entries in it
    bitmap[512 + 16] = 1; // type
    bitmap[512 + 17] = 16; // granularity
    bitmap[512 + 19] = 4; // length of the name

    let read = |image: &[u8]| Header::parse(image).expect("a header");
    let (mut one, mut other) = (Cursor::new(&snapshot), Cursor::new(&bitmap));
    let snapshots = Snapshot::read_all(&mut one, &read(&snapshot)).expect("snapshots");
    let bitmaps = Bitmap::read_all(&mut other, &read(&bitmap)).expect("bitmaps");
    assert_eq!((snapshots.len(), bitmaps.len()), (1, 1));
    vec![snapshot, bitmap]
}

/// Returns lists of options.
fn lists() -> Vec<Vec<u8>> {
    [
        &b""[..],
        b",",
        b"=",
        b"size",
        b"size=",
        b"size=1G",
        b"size=1.5G,compat=1.1",
        b"size=0x200,compat=v2",
        b"size=9223372036854775807,cluster_size=2M",
        b"size=99999999999999999999E",
        b"size=.999999999999999999999999E,cluster_size=2M",
        b"cluster_size=512,refcount_bits=64,size=128G",
        b"cluster_size=512,refcount_bits=1,size=128G",
        b"cluster_size=0",
        b"cluster_size=9223372036854775808",
        b"refcount_bits=0",
        b"refcount_bits=18446744073709551615",
        b"lazy_refcounts=on,extended_l2=on,cluster_size=16K",
        b"backing_file=a,,b.img,backing_fmt=raw",
        b"backing_file=,backing_fmt=qcow2",
        b"backing_file=json:{}",
        b"backing_file=\xff\xfe/\0",
        b"backing_fmt=vmdk",
        b"size=1,size=1",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// Returns pseudorandom bytes for [`recipe`] to make images of.
fn recipes(count: usize) -> Vec<Vec<u8>> {
    let mut state = 1u64;
    let mut byte = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 56) as u8
    };
    let mut recipe = |length| (0..length).map(|_| byte()).collect();
    (0..count).map(|number| recipe(8 + number % 120)).collect()
}

/// Checks `property` for each seed, and writes the seeds to the corpus that `QCOW2_SEEDS` names.
fn replay(target: &str, seeds: Vec<Vec<u8>>, property: fn(&[u8])) {
    if let Some(corpus) = env::var_os("QCOW2_SEEDS") {
        let directory = Path::new(&corpus).join(target);
        fs::create_dir_all(&directory).expect("create the corpus");
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), seed).expect("write a seed");
        }
    }
    for seed in seeds {
        property(&seed);
    }
}

#[test]
fn a_parsed_header_can_be_written_and_parsed_again() {
    replay("header", headers(), properties::header);
}

#[test]
fn tables_are_refused_or_within_the_file() {
    replay("tables", images(), properties::tables);
}

#[test]
fn options_are_refused_or_give_a_valid_layout() {
    replay("options", lists(), properties::options);
}

#[test]
fn the_reader_agrees_with_the_model_on_whole_images() {
    replay("reader", disks::images(), reader::reader);
}

#[test]
fn the_reader_agrees_with_the_model_on_any_mapping() {
    replay("mapping", recipes(3000), mapping::mapping);
}

#[test]
fn the_reader_agrees_with_the_model_on_compressed_clusters() {
    replay("compressed", disks::streams(), compressed::compressed);
}

#[test]
fn conversions_keep_the_content_and_are_canonical() {
    replay("convert", recipes(1000), convert::convert);
}
