//! Compressed clusters.

pub mod decompressor;
pub mod zstd_frame;
