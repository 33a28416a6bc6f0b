//! Small images with data of each kind: seeds of the fuzzers.

use std::sync::Mutex;

use qcow2_overlay::{Conversion, DiskReader, Header, Options, Version};

use crate::model::stored;

const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;

/// [`cluster`] as `qemu-img convert -c` of QEMU 10.0.2 compresses it.
const DEFLATED: &str = "\
    55d0310e03310804c07e5fe127188cb179ce4949913239e5ff873bb65c690503bddddffff57bbfdae76e1d52a3406b\
    348c1a034665c7ac5927bce6e158342db06b7643d4bc05d269414f1efb343b441433c8605640181a0e616a5ac5199f\
    1de2eace39041e9abb824fcc8f91d9d2ac6436cb0ebf751b94cc53034ae6b91c4a664fb392d94f87ccebcc21f33abb\
    c8fc00";
/// The same with `-o compression_type=zstd`.
const ZSTD_FRAME: &str = "\
    28b52ffd600001e5040022881415a0254907a0e5121ee1ffc5dd84ecbd89b44d1d7a868458af5a3752fd5a9d0a7512\
    f519eab4c1a9835f29b72aaf723b7e464e44cef2190e67b9c9ca47641b76b536d237a64e3e622008c10020105018c4\
    04202000c3917a387807a78b6570e2e20cae433bb4433bb4433bf4ed43db3c34ad43cb1c1af6415cc98495ac530e6d\
    fa20a3c89ac8e91cc111e6c88423801cc18ddc086e100e2e01";
/// "ab" 200 times, then "c" 112 times, with the fixed codes of deflate.
const FIXED: &str = "4b4c4a1c85830826d3190000";

fn from_hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Returns 512 bytes of text.
fn cluster() -> Vec<u8> {
    let lines = (0..40).map(|i| format!("{i} squared is {}\n", i * i));
    lines.collect::<String>().into_bytes()[..512].to_vec()
}

/// Returns clusters of 512 bytes, compressed in all ways, each with its compression type.
fn compressed() -> Vec<(u8, Vec<u8>)> {
    let run = [0x28, 0xb5, 0x2f, 0xfd, 0x60, 0, 1, 3, 16, 0, b'r'].to_vec();
    vec![
        (0, from_hex(DEFLATED)),
        (0, from_hex(FIXED)),
        (0, stored(0, &cluster()).expect("a small cluster")),
        (1, from_hex(ZSTD_FRAME)),
        (1, stored(1, &cluster()).expect("a small cluster")),
        (1, run),
    ]
}

/// Returns the seeds of [`compressed`](crate::compressed::compressed).
pub fn streams() -> Vec<Vec<u8>> {
    let streams = compressed().into_iter();
    let stream = |(compression, stream)| [vec![compression], stream].concat();
    streams.map(stream).collect()
}

/// Returns the seeds of [`reader`](crate::reader::reader): each image alone, and backed by another.
pub fn images() -> Vec<Vec<u8>> {
    let mut images = vec![cluster()[..300].to_vec()];
    for version in [Version::V2, Version::V3] {
        let options = Options::default().version(version).cluster_size(512);
        images.push(converted(options.clone()));
        images.push(converted(options.backing("base", None)));
    }
    let header = |version| Header {
        version,
        cluster_bits: 9,
        virtual_size: 5000,
        refcount_table_clusters: 1,
        refcount_order: 4,
        l1_entries: 2,
        ..Header::default()
    };
    // Clusters of data, of zeros with and without an allocation, and an unallocated one.
    let entries = [1536 | COPIED, 2048 | COPIED, 1, 1537, 0, 2560];
    images.push(by_hand(header(Version::V3), &entries, &[7; 1100]));
    for (compression, stream) in compressed() {
        let mut header = header(Version::V3);
        header.compression = compression;
        header.incompatible_features = u64::from(compression) * Header::COMPRESSION_TYPE;
        let sectors = (stream.len() as u64 - 1) / 512;
        let entry = COMPRESSED | sectors << 61 | 1536;
        images.push(by_hand(header, &[0, entry, entry], &stream));
    }
    let mut header = header(Version::V3);
    header.cluster_bits = 14;
    header.incompatible_features = Header::EXTENDED_L2;
    header.virtual_size = 40000;
    let entries = [3 << 14 | COPIED, 0xf0f0 << 40 | 0x0f0f, 0, 7 << 32];
    images.push(by_hand(header, &entries, &[9; 6000]));

    for image in &images {
        let header = Header::parse(image).ok();
        let disk = DiskReader::new([(image.clone(), header.as_ref())]).expect("a good image");
        let mut content = vec![0; disk.virtual_size() as usize];
        disk.read_at(&mut content, 0).expect("good tables");
    }
    let image = |(top, base): (&[u8], &[u8])| {
        let length = u16::try_from(top.len()).expect("a small image");
        [&length.to_be_bytes()[..], top, base].concat()
    };
    let alone = images.iter().map(|top| (&top[..], &[][..]));
    let pairs = images.windows(2).map(|pair| (&pair[1][..], &pair[0][..]));
    alone.chain(pairs).map(image).collect()
}

/// Returns an image that `Conversion` writes with these options.
fn converted(options: Options) -> Vec<u8> {
    let content = [vec![0; 1000], cluster(), vec![0; 700]].concat();
    let disk = |content| DiskReader::new([(content, None)]).expect("a raw image");
    let (source, base) = (disk(content), disk(cluster()));
    let output = Mutex::default();
    let conversion = Conversion::to_qcow2(options);
    let made = conversion.write_to(&output, &source, Some(&base));
    made.expect("a conversion");
    output.into_inner().expect("no panic")
}

/// Returns an image of the header, the L1 table and an L2 table, a cluster each, and `data`.
fn by_hand(mut header: Header, entries: &[u64], data: &[u8]) -> Vec<u8> {
    let cluster_size = header.cluster_size();
    header.l1_offset = cluster_size;
    let words = |words: &[u64]| words.iter().flat_map(|w| w.to_be_bytes()).collect();
    let mut image = Vec::new();
    for part in [
        header.encode(),
        words(&[(2 * cluster_size) | COPIED]),
        words(entries),
    ] {
        image.extend(part);
        image.resize(image.len().next_multiple_of(cluster_size as usize), 0);
    }
    image.extend(data);
    image
}
