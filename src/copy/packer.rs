//! Lays out the clusters and L2 tables of a qcow2 image with data, in guest order.

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
/// maps; the L1 table; the refcount blocks; and the refcount table. Every cluster has a
/// refcount of one.
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
    ///
    /// # Errors
    ///
    /// Those of [`Layout::new`](crate::Layout::new).
    pub fn new(options: &Options) -> Result<Self, FormatError> {
        let header = new_header(options)?;
        Ok(Packer {
            options: options.clone(),
            mapping: Mapping::new(&header),
            version: header.version,
            bytes_per_l2: bytes_mapped_by_l2_table(options.cluster_size, header.has_extended_l2()),
            clusters: 1,
            l1: vec![0; header.l1_entries as usize],
            table: None,
        })
    }

    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Records the cluster at `offset` of the disk, which must be after all earlier ones.
    /// Returns where its data goes, if it has any, and the L2 table that is now complete, if
    /// there is one.
    pub fn put(
        &mut self,
        offset: u64,
        subclusters: SubclusterBitmap,
    ) -> (Option<u64>, Option<L2Table>) {
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
        // Version 2 has no zero flag: zeros need a cluster there.
        let is_data = subclusters.data != 0 || self.version == Version::V2;
        let host = is_data.then(|| self.place());
        let entry_size = self.mapping.entry_size() as usize;
        let number = offset % self.bytes_per_l2 / self.mapping.cluster_size();
        let table = self.table.as_mut().expect("a table was begun above");
        let entry = &mut table.bytes[number as usize * entry_size..][..entry_size];
        let is_extended = entry_size == 16;
        let value = match host {
            Some(host) => entry_at(host),
            None if is_extended => 0,
            None => ZERO_ENTRY,
        };
        BE::write_u64(entry, value);
        if is_extended {
            let bitmap = u64::from(subclusters.zeros) << 32 | u64::from(subclusters.data);
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
            refcounts,
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

    /// Allocates a cluster, and returns its offset in the file.
    fn place(&mut self) -> u64 {
        let offset = self.clusters * self.mapping.cluster_size();
        self.clusters += 1;
        offset
    }
}
