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
/// The result depends on the content and on the versions of the encoders, whose bytes the tests
/// below and `tests/tool/command/convert_compressed.rs` pin.
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
