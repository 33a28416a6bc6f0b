//! Reference counts of images without snapshots.

use byteorder::{BigEndian, ByteOrder};

use crate::format::format_error::FormatError;
use crate::format::tables::limits::MAX_REFCOUNT_TABLE;

/// The refcount structures of an image. They count all clusters of the file, their own
/// included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refcounts {
    cluster_size: u64,
    bits: u64,
    /// Number of refcount blocks, of one cluster each.
    pub blocks: u64,
    /// Number of clusters of the refcount table, which lists the blocks.
    pub table_clusters: u64,
    /// Number of clusters of the whole file.
    pub clusters: u64,
    /// The refcounts of the first clusters. All others are one.
    first: Vec<u16>,
}

impl Refcounts {
    /// Returns the refcount structures of an image that has `others` clusters besides them.
    ///
    /// # Errors
    ///
    /// [`FormatError::RefcountTableTooLarge`] if the refcount table would exceed QEMU's limit.
    pub fn of(others: u64, cluster_size: u64, bits: u64) -> Result<Self, FormatError> {
        let per_block = cluster_size * 8 / bits;
        let (mut table_clusters, mut blocks) = (1, 1);
        let clusters = loop {
            let clusters = others + table_clusters + blocks;
            let needed = clusters.div_ceil(per_block);
            if needed <= blocks {
                break clusters;
            }
            blocks = needed;
            table_clusters = (blocks * 8).div_ceil(cluster_size);
        };
        if table_clusters * cluster_size > MAX_REFCOUNT_TABLE {
            return Err(FormatError::RefcountTableTooLarge { clusters });
        }
        Ok(Refcounts {
            cluster_size,
            bits,
            blocks,
            table_clusters,
            clusters,
            first: Vec::new(),
        })
    }

    /// Sets the refcounts of the first clusters. All others are one.
    pub fn with_first(self, first: Vec<u16>) -> Self {
        Refcounts { first, ..self }
    }

    /// Returns the refcount table for consecutive blocks, the first of which is at `offset`.
    pub fn table(&self, offset: u64) -> Vec<u8> {
        let mut table = vec![0; self.blocks as usize * 8];
        for (index, entry) in table.chunks_exact_mut(8).enumerate() {
            BigEndian::write_u64(entry, offset + index as u64 * self.cluster_size);
        }
        table
    }

    /// Returns bytes `from..from + length` of the consecutive blocks. `from` must be a multiple
    /// of 8.
    pub fn counts(&self, from: u64, length: usize) -> Vec<u8> {
        let bits = self.bits as usize;
        let mut counts = vec![0; length];
        let before = from * 8 / self.bits;
        let number = (length as u64 * 8 / self.bits).min(self.clusters - before);
        for index in 0..number as usize {
            let refcount = self
                .first
                .get(before as usize + index)
                .copied()
                .unwrap_or(1);
            if bits < 8 {
                // The specification packs narrow refcounts from the low bits up.
                counts[index * bits / 8] |= (refcount as u8) << (index * bits % 8);
            } else {
                let size = bits / 8;
                BigEndian::write_uint(&mut counts[index * size..], refcount.into(), size);
            }
        }
        counts
    }

    /// Returns the length in bytes of the blocks up to the refcount of the last cluster. Zeros
    /// follow.
    pub fn counts_length(&self) -> u64 {
        (self.clusters * self.bits).div_ceil(8)
    }
}
