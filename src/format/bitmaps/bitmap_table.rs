//! The table of a persistent bitmap, which QEMU reads when it opens the image.

use std::io::{Read, Seek, SeekFrom};

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::bitmaps::bitmap::Bitmap;
use crate::format::error::Result;
use crate::format::format_error::require;
use crate::format::header::Header;
use crate::format::size::SECTOR;

/// QEMU's limit for the size of a bitmap (`block/qcow2-bitmap.c`, `BME_MAX_PHYS_SIZE`), in bytes.
const MAX_BITMAP: u64 = 512 << 20;
/// The bits of an entry that hold the offset of a cluster of the bitmap; 0 if all bits of the
/// cluster are the same.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Without an offset: all bits of the cluster are ones, not zeros.
const ALL_ONES: u64 = 1;

/// Checks that the table has an entry for each cluster of `bitmap`, and that the entries are
/// valid (`block/qcow2-bitmap.c`, `bitmap_table_load` and `load_bitmap_data`).
pub(crate) fn check(
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
