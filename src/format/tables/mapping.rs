//! The entries of L1 and L2 tables.
//!
//! See the specification's sections "L1 table entry", "Standard Cluster Descriptor",
//! "Compressed Clusters Descriptor" and "Extended L2 Entries". An entry that is corrupt here
//! is corrupt to QEMU too (`block/qcow2.h`, `qcow2_get_subcluster_type`;
//! `block/qcow2-cluster.c`, `qcow2_get_host_offset`).

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::format_error::{corrupt, FormatError};
use crate::format::header::{Header, Version};

/// The bits of an entry that hold an offset in the file.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The refcount is exactly one, so that the cluster can be written in place.
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;
/// Number of subclusters in a cluster with an extended entry.
const SUBCLUSTERS: u32 = 32;

/// Where the content of a part of the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the backing file; zeros if there is none.
    Unallocated,
    /// Nowhere: it reads as zeros.
    Zero,
    /// At this offset in the file.
    At(u64),
    /// In a compressed cluster.
    Compressed(Compressed),
}

impl Place {
    /// Returns the place of the content `count` bytes further on in the same part of the disk.
    pub fn behind(self, count: u64) -> Self {
        match self {
            Place::At(offset) => Place::At(offset + count),
            other => other,
        }
    }
}

/// Where the data of a compressed cluster is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compressed {
    pub offset: u64,
    /// Up to the end of the last sector: the last bytes, at most 511, can belong to other
    /// clusters or be beyond the end of the file.
    pub length: usize,
}

/// Reads the entries of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    version: Version,
    cluster_bits: u32,
    is_extended: bool,
}

impl Mapping {
    pub fn new(header: &Header) -> Self {
        Mapping {
            version: header.version,
            cluster_bits: header.cluster_bits,
            is_extended: header.has_extended_l2(),
        }
    }

    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Returns the size of an L2 entry in bytes.
    pub fn entry_size(&self) -> u64 {
        if self.is_extended {
            16
        } else {
            8
        }
    }

    /// Returns the number of subclusters in a cluster: 32 with extended L2 entries, else 1.
    pub fn subclusters(&self) -> u32 {
        if self.is_extended {
            SUBCLUSTERS
        } else {
            1
        }
    }

    /// Returns the size of a subcluster in bytes.
    pub fn subcluster_size(&self) -> u64 {
        self.cluster_size() / u64::from(self.subclusters())
    }

    /// Returns the offset of the L2 table that an L1 `entry` of 8 bytes refers to, if any.
    pub fn l2_table(&self, entry: &[u8]) -> Result<Option<u64>, FormatError> {
        let offset = BE::read_u64(entry) & OFFSET;
        if !offset.is_multiple_of(self.cluster_size()) {
            return corrupt("offset of an L2 table", offset);
        }
        Ok((offset != 0).then_some(offset))
    }

    /// Returns the meaning of an L2 `entry` of [`entry_size`](Self::entry_size) bytes.
    pub fn cluster(&self, entry: &[u8]) -> Result<Cluster, FormatError> {
        let value = BE::read_u64(entry);
        if value & COMPRESSED != 0 {
            return Ok(Cluster::Whole(Place::Compressed(self.compressed(value))));
        }
        let offset = value & OFFSET;
        if !offset.is_multiple_of(self.cluster_size()) {
            return corrupt("offset of a cluster", offset);
        }
        let host = (offset != 0).then_some(offset);
        if self.is_extended {
            let bitmap = BE::read_u64(&entry[8..]);
            let (zeros, allocated) = ((bitmap >> 32) as u32, bitmap as u32);
            let has_nowhere = host.is_none() && allocated != 0;
            if zeros & allocated != 0 || has_nowhere {
                return corrupt("bitmap of an L2 entry", bitmap);
            }
            return Ok(Cluster::Parted {
                host: offset,
                zeros,
                allocated,
            });
        }
        if value & ZERO != 0 {
            return match self.version {
                Version::V2 => corrupt("L2 entry of a version 2 image", value),
                Version::V3 => Ok(Cluster::Whole(Place::Zero)),
            };
        }
        Ok(Cluster::Whole(host.map_or(Place::Unallocated, Place::At)))
    }

    fn compressed(&self, entry: u64) -> Compressed {
        let shift = self.compressed_offset_bits();
        let offset = entry & ((1 << shift) - 1);
        let sectors = ((entry & (COMPRESSED - 1)) >> shift) + 1;
        Compressed {
            offset,
            length: (sectors * 512 - offset % 512) as usize,
        }
    }

    /// Returns the standard L2 entry of a cluster whose compressed data is `length` bytes at
    /// `offset` of the file. An entry has room for offsets of up to 512 TiB, and more if clusters
    /// are smaller than 2 MiB.
    pub fn compressed_entry(&self, offset: u64, length: u64) -> u64 {
        let additional_sectors = (offset + length - 1) / 512 - offset / 512;
        COMPRESSED | additional_sectors << self.compressed_offset_bits() | offset
    }

    /// Returns how many bits of an entry hold the offset of compressed data. Those above hold the
    /// number of sectors after the first one.
    fn compressed_offset_bits(&self) -> u32 {
        62 - (self.cluster_bits - 8)
    }
}

/// The meaning of an L2 entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cluster {
    Whole(Place),
    /// A cluster with subclusters. Bit 0 of the masks is the first.
    Parted {
        host: u64,
        zeros: u32,
        allocated: u32,
    },
}

impl Cluster {
    /// Returns the place of subcluster `index`, of `size` bytes.
    pub fn subcluster(&self, index: u32, size: u64) -> Place {
        match *self {
            Cluster::Whole(place) => place,
            Cluster::Parted {
                host,
                zeros,
                allocated,
            } => match 1 << index {
                bit if zeros & bit != 0 => Place::Zero,
                bit if allocated & bit != 0 => Place::At(host + u64::from(index) * size),
                _ => Place::Unallocated,
            },
        }
    }
}

/// Returns the L1 entry of a table, or the L2 entry of a cluster, at `offset` with a refcount
/// of one.
pub(crate) fn entry_at(offset: u64) -> u64 {
    offset | COPIED
}

/// The standard L2 entry of a cluster of zeros.
pub(crate) const ZERO_ENTRY: u64 = ZERO;
