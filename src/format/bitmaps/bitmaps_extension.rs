//! The header extension that refers to the bitmap directory.

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::format_error::{require, FormatError};
use crate::format::header::Header;

/// QEMU's limits (`block/qcow2.h`, `QCOW2_MAX_BITMAPS` and below).
const MAX_BITMAPS: u32 = 65535;
pub(crate) const MAX_DIRECTORY: u64 = 1024 * MAX_BITMAPS as u64;

/// The length of the extension, in bytes.
pub(crate) const LENGTH: u64 = 24;

/// Checks the extension. Without the feature bit only its length counts.
pub(crate) fn check(header: &Header, extension: &[u8]) -> Result<(), FormatError> {
    match header.autoclear_features & Header::BITMAPS {
        0 => require_length(extension),
        _ => directory(extension, header.cluster_size()).map(drop),
    }
}

fn require_length(extension: &[u8]) -> Result<(), FormatError> {
    let length = extension.len() as u64;
    let field = "length of the bitmaps extension";
    require(length == LENGTH, field, length)
}

/// Returns the number of bitmaps, and the length and the offset of their directory in bytes.
pub(crate) fn directory(
    extension: &[u8],
    cluster_size: u64,
) -> Result<(u32, u64, u64), FormatError> {
    require_length(extension)?;
    let count = BE::read_u32(extension);
    let reserved = BE::read_u32(&extension[4..]);
    let size = BE::read_u64(&extension[8..]);
    let offset = BE::read_u64(&extension[16..]);
    require((1..=MAX_BITMAPS).contains(&count), "nb_bitmaps", count)?;
    require(
        reserved == 0,
        "reserved field of the bitmaps extension",
        reserved,
    )?;
    require(size <= MAX_DIRECTORY, "bitmap_directory_size", size)?;
    let is_aligned = offset != 0 && offset % cluster_size == 0;
    require(is_aligned, "bitmap_directory_offset", offset)?;
    Ok((count, size, offset))
}
