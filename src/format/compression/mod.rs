//! Compressed clusters.

pub mod compression_type;
pub mod compressor;
pub mod decompressor;
pub mod zstd_frame;
