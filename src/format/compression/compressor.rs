//! Compressing clusters.

use zlib_rs::{compress_bound, Deflate, DeflateConfig, DeflateFlush, Status};
use zrip_encode::context::CompressContext;

use crate::format::compression::compression_type::CompressionType;

/// QEMU decompresses with a window of 4 KiB (`block/qcow2-threads.c`, `qcow2_zlib_decompress`).
/// The negative number makes it a stream without a header.
const WINDOW_BITS: i32 = -12;
/// The fastest level that is no larger than QEMU's by more than a hundredth.
const DEFLATE_LEVEL: i32 = 7;
/// More frequent Huffman tables than with 9, which QEMU takes.
const DEFLATE_MEMORY: i32 = 8;
/// The fastest level that is no larger than QEMU's.
const ZSTD_LEVEL: i32 = 4;
/// More than what zstd adds to a cluster that it cannot compress.
const ZSTD_MARGIN: usize = 1024;

/// Compresses one cluster after the other in the same memory: up to 2 MiB.
///
/// The result depends on the content and on the versions of the encoders alone. A test
/// (`tests/tool/command/convert_compressed.rs`) pins the bytes of these versions.
pub(crate) enum Compressor {
    Zlib(Deflate),
    Zstd(Box<CompressContext>),
}

impl Compressor {
    pub(crate) fn new(compression_type: CompressionType) -> Self {
        match compression_type {
            CompressionType::Zlib => Compressor::Zlib(Deflate::new_with_config(DeflateConfig {
                level: DEFLATE_LEVEL,
                window_bits: WINDOW_BITS,
                mem_level: DEFLATE_MEMORY,
                ..DeflateConfig::default()
            })),
            CompressionType::Zstd => {
                let mut context = CompressContext::new(ZSTD_LEVEL).expect("the level exists");
                // QEMU writes none either.
                context.set_content_checksum(false);
                Compressor::Zstd(Box::new(context))
            }
        }
    }

    /// Appends the compressed `cluster` to `output`. Returns its length in bytes, or none, with
    /// `output` unchanged, if it is not shorter than the cluster.
    pub(crate) fn compress(&mut self, cluster: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let start = output.len();
        // The encoders get more room than they need: how they end without it is less tested.
        let room = match self {
            Compressor::Zlib(_) => compress_bound(cluster.len()),
            Compressor::Zstd(_) => cluster.len() + ZSTD_MARGIN,
        };
        output.resize(start + room, 0);
        let length = match self {
            Compressor::Zlib(deflate) => {
                deflate.reset();
                let status = deflate.compress(cluster, &mut output[start..], DeflateFlush::Finish);
                (status == Ok(Status::StreamEnd)).then(|| deflate.total_out() as usize)
            }
            Compressor::Zstd(context) => context.compress_into(cluster, &mut output[start..]).ok(),
        };
        let length = length.filter(|&length| length < cluster.len());
        output.truncate(start + length.unwrap_or(0));
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::compression::decompressor::Decompressor;

    const TYPES: [CompressionType; 2] = [CompressionType::Zlib, CompressionType::Zstd];

    /// Returns `length` pseudorandom bytes.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut byte = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..length).map(|_| byte()).collect()
    }

    /// Returns clusters of `size` bytes from the easiest to the hardest.
    fn clusters(size: usize) -> Vec<Vec<u8>> {
        let words: Vec<u8> = noise(size, 1).iter().map(|byte| byte % 7).collect();
        let lines: String = (0..=size / 15)
            .map(|i| format!("{i} squared is {}\n", i * i))
            .collect();
        let repeated = noise(5000, 2).repeat(size / 5000 + 1);
        let half = [vec![0; size / 2], noise(size / 2, 3)].concat();
        let mut clusters = vec![vec![0; size], vec![7; size], words, half, noise(size, 4)];
        clusters.extend([lines.into_bytes(), repeated].map(|bytes| bytes[..size].to_vec()));
        clusters
    }

    #[test]
    fn what_is_compressed_is_decompressed() {
        for compression_type in TYPES {
            let mut decompressor = Decompressor::new();
            let mut compressor = Compressor::new(compression_type);
            for size in [9, 12, 16, 21].map(|bits| 1 << bits) {
                let mut output = b"earlier".to_vec();
                for cluster in clusters(size) {
                    let start = output.len();
                    let Some(length) = compressor.compress(&cluster, &mut output) else {
                        assert_eq!(output.len(), start);
                        continue;
                    };
                    assert_eq!(output.len(), start + length);
                    let mut again = vec![1; size];
                    let compressed = &output[start..];
                    decompressor
                        .decompress(compression_type as u8, compressed, &mut again, 0)
                        .expect("good data");
                    assert!(again == cluster, "{compression_type} {size}");
                }
                assert!(output.starts_with(b"earlier"));
            }
        }
    }

    #[test]
    fn what_does_not_get_smaller_is_left_out() {
        for compression_type in TYPES {
            for size in [512, 64 << 10, 2 << 20] {
                let mut output = b"earlier".to_vec();
                let mut compressor = Compressor::new(compression_type);
                assert_eq!(compressor.compress(&noise(size, 5), &mut output), None);
                assert_eq!(output, b"earlier");
            }
        }
    }

    #[test]
    fn a_frame_has_its_content_size_and_no_checksum_as_in_qemu() {
        let mut output = Vec::new();
        Compressor::new(CompressionType::Zstd).compress(&[7; 65536], &mut output);
        // The size takes two bytes, and is also the window.
        assert_eq!(output[..7], [0x28, 0xb5, 0x2f, 0xfd, 0x60, 0, 0xff]);
    }

    #[test]
    fn deflate_refers_to_the_last_4096_bytes_only() {
        let mut compressor = Compressor::new(CompressionType::Zlib);
        let mut compress = |content: &[u8]| compressor.compress(content, &mut Vec::new());
        let length = compress(&noise(3000, 6).repeat(20)).expect("smaller");
        assert!(length < 5000, "{length}");
        // What is repeated is too far back.
        assert_eq!(compress(&noise(5000, 6).repeat(12)), None);
    }

    #[test]
    fn earlier_clusters_do_not_change_the_bytes() {
        for compression_type in TYPES {
            let mut used = Compressor::new(compression_type);
            for size in [4096, 512, 256 << 10, 4096] {
                for cluster in clusters(size) {
                    let (mut one, mut other) = (Vec::new(), Vec::new());
                    used.compress(&cluster, &mut one);
                    Compressor::new(compression_type).compress(&cluster, &mut other);
                    assert!(one == other, "{compression_type} {size}");
                }
            }
        }
    }
}
