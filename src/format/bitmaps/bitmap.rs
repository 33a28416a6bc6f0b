//! A persistent bitmap of an image, its table, and the header extension that leads to it.

use std::io::{Read, Seek, SeekFrom};

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::error::Result;
use crate::format::format_error::{require, FormatError};
use crate::format::header::Header;
use crate::format::size::SECTOR;

/// An entry of the bitmap directory (the specification's section "Bitmaps").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    /// Unique in the image. 1 to 1023 bytes are stored; the name ends at the first NUL.
    pub name: Vec<u8>,
    /// log2 of the number of bytes of the disk per bit, 9 to 31.
    pub granularity_bits: u8,
    /// Whether the bitmap was not saved, so that its content may be outdated.
    pub in_use: bool,
    /// Whether the bitmap must record every write to the disk.
    pub auto: bool,
    /// Where its table starts, in bytes from the start of the file.
    pub table_offset: u64,
    /// Number of entries of 8 bytes in its table.
    pub table_entries: u32,
}

impl Bitmap {
    /// Returns the number of bytes of the disk per bit.
    pub fn granularity(&self) -> u64 {
        1 << self.granularity_bits
    }
}

/// QEMU's limits (`block/qcow2.h`, `QCOW2_MAX_BITMAPS` and below).
const MAX_BITMAPS: u32 = 65535;
pub(crate) const MAX_DIRECTORY: u64 = 1024 * MAX_BITMAPS as u64;

/// The length of the extension, in bytes.
pub(crate) const LENGTH: u64 = 24;

/// Checks the extension. Without the feature bit only its length counts.
pub(crate) fn check_extension(header: &Header, extension: &[u8]) -> Result<(), FormatError> {
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

/// QEMU's limit for the size of a bitmap (`block/qcow2-bitmap.c`, `BME_MAX_PHYS_SIZE`), in bytes.
const MAX_BITMAP: u64 = 512 << 20;
/// The bits of an entry that hold the offset of a cluster of the bitmap; 0 if all bits of the
/// cluster are the same.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Without an offset: all bits of the cluster are ones, not zeros.
const ALL_ONES: u64 = 1;

/// Checks that the table has an entry for each cluster of `bitmap`, and that the entries are
/// valid (`block/qcow2-bitmap.c`, `bitmap_table_load` and `load_bitmap_data`).
pub(crate) fn check_table(
    reader: &mut (impl Read + Seek),
    header: &Header,
    bitmap: &Bitmap,
) -> Result<()> {
    let cluster_size = header.cluster_size();
    let bits = (header.virtual_size / SECTOR * SECTOR).div_ceil(bitmap.granularity());
    // QEMU stores words of 64 bits.
    let clusters = (bits.div_ceil(64) * 8).div_ceil(cluster_size);
    let entries = bitmap.table_entries;
    let is_right = u64::from(entries) == clusters && clusters * cluster_size <= MAX_BITMAP;
    require(is_right, "bitmap_table_size", entries)?;
    let mut table = vec![0; 8 * entries as usize];
    reader.seek(SeekFrom::Start(bitmap.table_offset))?;
    reader.read_exact(&mut table)?;
    for entry in table.chunks_exact(8).map(BE::read_u64) {
        let offset = entry & OFFSET;
        let is_good = match entry & !OFFSET {
            0 => offset.is_multiple_of(cluster_size),
            flags => flags == ALL_ONES && offset == 0,
        };
        require(is_good, "entry in the table of a bitmap", entry)?;
    }
    Ok(())
}
