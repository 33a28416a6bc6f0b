//! Where each cluster, compressed data and L2 table of a qcow2 image goes, in guest order.

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::format_error::FormatError;
use crate::format::header::new_header::new_header;
use crate::format::header::{Header, Version};
use crate::format::options::Options;
use crate::format::tables::limits::bytes_mapped_by_l2_table;
use crate::format::tables::mapping::{entry_at, Mapping, ZERO_ENTRY};
use crate::format::tables::refcounts::Refcounts;

/// Assigns places in a file to the clusters of a disk, in guest order. The size of the disk
/// need not be known until the end.
///
/// The file consists of the header cluster; each L2 table and the data clusters that it
/// maps; the L1 table; the refcount blocks; and the refcount table. Compressed data is packed
/// without gaps, across the boundaries of clusters too, as far as no other cluster is in the
/// way. A cluster of the file is shared by all compressed clusters that have data in it, and
/// its refcount is their number. Every other cluster has a refcount of one.
pub(crate) struct Packer {
    options: Options,
    mapping: Mapping,
    version: Version,
    bytes_per_l2: u64,
    /// Clusters placed so far.
    clusters: u64,
    /// The entries of the L1 table.
    l1: Vec<u64>,
    /// The last L2 table, which is not complete.
    table: Option<L2Table>,
    /// Where compressed data ends, in bytes; 0 if there is none yet.
    compressed_end: u64,
    /// The refcount of each cluster placed so far; empty if nothing can be compressed.
    refcounts: Vec<u16>,
}

/// An L2 table, which can be written when the next one begins.
pub(crate) struct L2Table {
    pub offset: u64,
    pub bytes: Vec<u8>,
    /// The index of its L1 entry.
    index: u64,
}

/// What to record of the subclusters of a cluster. Bit 0 of the masks is the first one. A
/// subcluster that is in neither mask is unallocated: it is left to the backing file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SubclusterBitmap {
    pub data: u32,
    pub zeros: u32,
}

/// What to record of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewCluster {
    pub subclusters: SubclusterBitmap,
    /// Length of its compressed data, which is less than a cluster. It holds all subclusters.
    pub compressed: Option<usize>,
}

/// The tables to write after the data.
pub(crate) struct Tables {
    pub header: Header,
    pub last: Option<L2Table>,
    pub l1: Vec<u64>,
    pub refcounts: Refcounts,
    pub refcount_blocks_offset: u64,
}

impl Packer {
    /// Starts an image with `options`, but for its size, which [`finish`](Self::finish) sets.
    /// Only if it `is_compressed`, clusters can be.
    ///
    /// # Errors
    ///
    /// Those of [`Layout::new`](crate::Layout::new).
    pub fn new(options: &Options, is_compressed: bool) -> Result<Self, FormatError> {
        let header = new_header(options)?;
        Ok(Packer {
            options: options.clone(),
            mapping: Mapping::new(&header),
            version: header.version,
            bytes_per_l2: bytes_mapped_by_l2_table(options.cluster_size, header.has_extended_l2()),
            clusters: 1,
            l1: vec![0; header.l1_entries as usize],
            table: None,
            compressed_end: 0,
            refcounts: if is_compressed { vec![1] } else { Vec::new() },
        })
    }

    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Records the cluster at `offset` of the disk, which must be after all earlier ones.
    /// Returns where its data goes, if it has any, and the L2 table that is now complete, if
    /// there is one.
    pub fn put(&mut self, offset: u64, cluster: NewCluster) -> (Option<u64>, Option<L2Table>) {
        let subclusters = cluster.subclusters;
        if subclusters == SubclusterBitmap::default() {
            return (None, None);
        }
        let index = offset / self.bytes_per_l2;
        let complete = match &self.table {
            Some(table) if table.index == index => None,
            _ => {
                let new = self.new_table(index);
                self.table.replace(new)
            }
        };
        let (host, value, bitmap) = match cluster.compressed {
            Some(length) => {
                let host = self.place_compressed(length as u64);
                let value = self.mapping.compressed_entry(host, length as u64);
                (Some(host), value, 0)
            }
            None => self.place_plain(subclusters),
        };
        let entry_size = self.mapping.entry_size() as usize;
        let number = offset % self.bytes_per_l2 / self.mapping.cluster_size();
        let table = self.table.as_mut().expect("a table was begun above");
        let entry = &mut table.bytes[number as usize * entry_size..][..entry_size];
        BE::write_u64(entry, value);
        if entry_size == 16 {
            BE::write_u64(&mut entry[8..], bitmap);
        }
        (host, complete)
    }

    /// Returns the tables of a disk of `virtual_size` bytes, which must hold all clusters that
    /// were recorded.
    ///
    /// # Errors
    ///
    /// [`FormatError::SizeTooLarge`], [`FormatError::RefcountTableTooLarge`].
    pub fn finish(self, virtual_size: u64) -> Result<Tables, FormatError> {
        let mut header = new_header(&self.options.virtual_size(virtual_size))?;
        let cluster_size = header.cluster_size();
        let l1_clusters = (u64::from(header.l1_entries) * 8).div_ceil(cluster_size);
        let others = self.clusters + l1_clusters;
        let refcounts = Refcounts::of(others, cluster_size, header.refcount_bits())?;
        if header.l1_entries > 0 {
            header.l1_offset = self.clusters * cluster_size;
        }
        header.refcount_table_offset = (others + refcounts.blocks) * cluster_size;
        header.refcount_table_clusters = refcounts.table_clusters as u32;
        Ok(Tables {
            header,
            last: self.table,
            l1: self.l1,
            refcounts: refcounts.with_first(self.refcounts),
            refcount_blocks_offset: others * cluster_size,
        })
    }

    /// Allocates the L2 table of the L1 entry with this index.
    fn new_table(&mut self, index: u64) -> L2Table {
        let offset = self.place();
        let entry = index as usize;
        if self.l1.len() <= entry {
            self.l1.resize(entry + 1, 0);
        }
        self.l1[entry] = entry_at(offset);
        L2Table {
            offset,
            bytes: vec![0; self.mapping.cluster_size() as usize],
            index,
        }
    }

    /// Allocates what a cluster that is not compressed needs. Returns where its data goes, if it
    /// has any, its standard L2 entry, and the bitmap of an extended one.
    fn place_plain(&mut self, subclusters: SubclusterBitmap) -> (Option<u64>, u64, u64) {
        // Version 2 has no zero flag: zeros need a cluster there.
        let is_data = subclusters.data != 0 || self.version == Version::V2;
        let host = is_data.then(|| self.place());
        let value = match host {
            Some(host) => entry_at(host),
            None if self.mapping.subclusters() > 1 => 0,
            None => ZERO_ENTRY,
        };
        let bitmap = u64::from(subclusters.zeros) << 32 | u64::from(subclusters.data);
        (host, value, bitmap)
    }

    /// Allocates a cluster, and returns its offset in the file.
    fn place(&mut self) -> u64 {
        let offset = self.clusters * self.mapping.cluster_size();
        self.clusters += 1;
        if !self.refcounts.is_empty() {
            self.refcounts.push(1);
        }
        offset
    }

    /// Allocates `length` bytes for compressed data, less than a cluster, and returns their
    /// offset in the file. As in QEMU (`block/qcow2-refcount.c`, `qcow2_alloc_bytes`), they follow
    /// the compressed data before them, unless another cluster is in the way or the refcount of
    /// the cluster that they would share has its largest value.
    fn place_compressed(&mut self, length: u64) -> u64 {
        let cluster_size = self.mapping.cluster_size();
        // 65,535 compressed clusters never fit into one: of 2 MiB, each would take 32 bytes, and no
        // encoder needs so few.
        let max_refcount =
            (u64::MAX >> (64 - self.options.refcount_bits)).min(u16::MAX.into()) as u16;
        let end_of_file = self.clusters * cluster_size;
        let mut start = self.compressed_end;
        let mut room = start.next_multiple_of(cluster_size) - start;
        let shared = (start / cluster_size) as usize;
        if room > 0 && self.refcounts[shared] == max_refcount {
            room = 0;
        }
        if room == 0 || (length > room && start + room != end_of_file) {
            (start, room) = (end_of_file, 0);
        }
        if room > 0 {
            self.refcounts[shared] += 1;
        }
        if length > room {
            self.place();
        }
        self.compressed_end = start + length;
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::tables::mapping::{Cluster, Compressed, Place};

    const CLUSTER: u64 = 64 << 10;
    const PLAIN: NewCluster = NewCluster {
        subclusters: SubclusterBitmap { data: 1, zeros: 0 },
        compressed: None,
    };

    fn compressed(length: usize) -> NewCluster {
        let compressed = Some(length);
        NewCluster {
            compressed,
            ..PLAIN
        }
    }

    /// Packs clusters that follow each other on the disk. Returns where each goes, after the
    /// header and the L2 table, and the refcounts of the clusters from there on.
    fn pack(refcount_bits: u64, clusters: &[NewCluster]) -> (Vec<u64>, Vec<u16>) {
        let options = Options::new(1 << 30).refcount_bits(refcount_bits);
        let mut packer = Packer::new(&options, true).expect("a packer");
        let places = clusters.iter().enumerate().map(|(index, &cluster)| {
            let (host, _) = packer.put(index as u64 * CLUSTER, cluster);
            host.expect("data") - 2 * CLUSTER
        });
        let places = places.collect();
        (places, packer.refcounts[2..].to_vec())
    }

    #[test]
    fn compressed_data_has_no_gaps_and_may_cross_a_boundary() {
        let clusters = [compressed(40_000), compressed(40_000), compressed(10)];
        assert_eq!(pack(16, &clusters), (vec![0, 40_000, 80_000], vec![2, 2]));
        // What ends with a cluster has no part in the next one.
        let clusters = [compressed(65_535), compressed(1), compressed(1)];
        assert_eq!(pack(16, &clusters), (vec![0, 65_535, 65_536], vec![2, 1]));
    }

    #[test]
    fn a_cluster_in_the_way_is_left_out() {
        let clusters = [compressed(40_000), PLAIN, compressed(25_536), compressed(1)];
        let places = vec![0, CLUSTER, 40_000, 2 * CLUSTER];
        assert_eq!(pack(16, &clusters), (places, vec![2, 1, 1]));
        let clusters = [compressed(40_000), PLAIN, compressed(40_000)];
        let places = vec![0, CLUSTER, 2 * CLUSTER];
        assert_eq!(pack(16, &clusters), (places, vec![1, 1, 1]));
    }

    #[test]
    fn no_refcount_exceeds_its_width() {
        let clusters = [compressed(10); 5];
        let places = vec![0, CLUSTER, 2 * CLUSTER, 3 * CLUSTER, 4 * CLUSTER];
        assert_eq!(pack(1, &clusters), (places, vec![1; 5]));
        let places = vec![0, 10, 20, CLUSTER, CLUSTER + 10];
        assert_eq!(pack(2, &clusters), (places, vec![3, 2]));
        assert_eq!(pack(64, &clusters).1, [5]);
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for bits in 9..=21 {
            let header = Header {
                cluster_bits: bits,
                ..Header::default()
            };
            let mapping = Mapping::new(&header);
            for offset in [0, 1, 511, 512, 1000, (1 << 40) - 1] {
                for length in [1, 12, 511, (1 << bits) - 1] {
                    let entry = mapping.compressed_entry(offset, length).to_be_bytes();
                    let place = Place::Compressed(Compressed {
                        offset,
                        length: ((offset + length).next_multiple_of(512) - offset) as usize,
                    });
                    assert_eq!(mapping.cluster(&entry), Ok(Cluster::Whole(place)));
                }
            }
        }
    }
}
