//! Where every byte of an image goes: a pure function of the options.

use std::io::{self, Write};

use byteorder::{BigEndian, ByteOrder};

use crate::format::error::Error;
use crate::format::extension::Extension;
use crate::format::header::{Header, Version};
use crate::format::limits::{bytes_mapped_by_l2_table, MAX_BACKING_NAME, MAX_L1_ENTRIES};
use crate::format::name::protocol;
use crate::format::options::Options;
use crate::format::size::SECTOR;

const MIN_CLUSTER_SIZE: u64 = 512;
const MAX_CLUSTER_SIZE: u64 = 2 << 20;
/// QEMU's limit (`block/qcow2.c`, `validate_cluster_size`).
const MIN_EXTENDED_L2_CLUSTER_SIZE: u64 = 16 << 10;

/// An image of which nothing has been written: metadata only, no data clusters.
///
/// In the file follow each other: the header cluster, the refcount table, the
/// refcount blocks, the L1 table. With clusters of 16 KiB and more and refcounts of
/// 16 bits this is byte for byte what `qemu-img create` writes. The file ends with
/// the last L1 entry, in the middle of a cluster, as QEMU's does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    header: Header,
    refcount_block_count: u64,
    /// Clusters in the whole file, each of which has a refcount of one.
    cluster_count: u64,
}

impl Layout {
    /// Places every table of the image that `options` ask for.
    ///
    /// # Errors
    ///
    /// When a value is out of its range, when options exclude each other, when the
    /// L1 table cannot map the size (the limit is 32 MiB of L1 table: 2 PiB with
    /// clusters of 64 KiB), or when the backing name is not one a file could have.
    pub fn new(options: &Options) -> Result<Self, Error> {
        check_combination(options)?;
        let cluster_size = options.cluster_size;
        let limit = max_virtual_size(cluster_size, options.extended_l2);
        if options.virtual_size > limit {
            return Err(Error::SizeTooLarge {
                size: options.virtual_size,
                limit,
                fitting_cluster_size: fitting_cluster_size(options),
            });
        }
        let virtual_size = options.virtual_size.next_multiple_of(SECTOR);
        let bytes_per_l2 = bytes_mapped_by_l2_table(cluster_size, options.extended_l2);
        let l1_entries = virtual_size.div_ceil(bytes_per_l2);
        let l1_clusters = (l1_entries * 8).div_ceil(cluster_size);

        // The refcount blocks count themselves and the table that lists them.
        let refcounts_per_block = cluster_size * 8 / options.refcount_bits;
        let (mut table_clusters, mut blocks) = (1, 1);
        let cluster_count = loop {
            let clusters = 1 + table_clusters + blocks + l1_clusters;
            let needed = clusters.div_ceil(refcounts_per_block);
            if needed <= blocks {
                break clusters;
            }
            blocks = needed;
            table_clusters = (blocks * 8).div_ceil(cluster_size);
        };

        let l1_offset = match l1_entries {
            0 => 0, // as QEMU stores it
            _ => (1 + table_clusters + blocks) * cluster_size,
        };
        let mut header = Header {
            version: options.version,
            cluster_bits: cluster_size.trailing_zeros(),
            virtual_size,
            l1_entries: l1_entries as u32,
            l1_offset,
            refcount_table_offset: cluster_size,
            refcount_table_clusters: table_clusters as u32,
            refcount_order: options.refcount_bits.trailing_zeros(),
            ..Header::default()
        };
        if options.lazy_refcounts {
            header.compatible_features |= Header::LAZY_REFCOUNTS;
        }
        if options.extended_l2 {
            header.incompatible_features |= Header::EXTENDED_L2;
        }
        add_names(&mut header, options)?;
        Ok(Layout {
            header,
            refcount_block_count: blocks,
            cluster_count,
        })
    }

    /// The header the image will have.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Length of the image file in bytes.
    pub fn file_length(&self) -> u64 {
        match self.header.l1_entries {
            0 => self.cluster_count * self.header.cluster_size(),
            entries => self.header.l1_offset + 8 * u64::from(entries),
        }
    }

    /// The parts of the file that are not zero, each with its offset, in order.
    pub fn segments(&self) -> [(u64, Vec<u8>); 3] {
        let blocks_offset = self.refcount_blocks_offset();
        [
            (0, self.header.encode()),
            (self.header.refcount_table_offset, self.refcount_table()),
            (blocks_offset, self.refcounts()),
        ]
    }

    /// Writes the whole image, zeros included, from its first byte to its last.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut position = 0;
        for (offset, bytes) in self.segments() {
            write_zeros(writer, offset - position)?;
            writer.write_all(&bytes)?;
            position = offset + bytes.len() as u64;
        }
        write_zeros(writer, self.file_length() - position)
    }

    fn refcount_blocks_offset(&self) -> u64 {
        let table_clusters = u64::from(self.header.refcount_table_clusters);
        (1 + table_clusters) * self.header.cluster_size()
    }

    fn refcount_table(&self) -> Vec<u8> {
        let mut table = vec![0; self.refcount_block_count as usize * 8];
        for (index, entry) in table.chunks_exact_mut(8).enumerate() {
            let offset = self.refcount_blocks_offset() + index as u64 * self.header.cluster_size();
            BigEndian::write_u64(entry, offset);
        }
        table
    }

    /// A refcount of one for every cluster of the file.
    fn refcounts(&self) -> Vec<u8> {
        let bits = 1usize << self.header.refcount_order;
        let count = self.cluster_count as usize;
        let mut refcounts = vec![0; (count * bits).div_ceil(8)];
        if bits < 8 {
            for index in 0..count {
                // The specification packs narrow refcounts from the low bits up.
                refcounts[index * bits / 8] |= 1 << (index * bits % 8);
            }
        } else {
            let bytes = bits / 8;
            for refcount in refcounts.chunks_exact_mut(bytes) {
                refcount[bytes - 1] = 1; // big endian
            }
        }
        refcounts
    }
}

fn check_combination(options: &Options) -> Result<(), Error> {
    let Options {
        version,
        cluster_size,
        refcount_bits,
        ..
    } = *options;
    if !cluster_size.is_power_of_two()
        || !(MIN_CLUSTER_SIZE..=MAX_CLUSTER_SIZE).contains(&cluster_size)
    {
        return Err(Error::InvalidClusterSize(cluster_size));
    }
    if !refcount_bits.is_power_of_two() || refcount_bits > 64 {
        return Err(Error::InvalidRefcountBits(refcount_bits));
    }
    let conflict = |option: &str, needs| {
        let option = option.to_owned();
        Err(Error::OptionConflict { option, needs })
    };
    if version == Version::V2 {
        if refcount_bits != 16 {
            return conflict(&format!("refcount_bits={refcount_bits}"), "compat=1.1");
        }
        if options.lazy_refcounts {
            return conflict("lazy_refcounts=on", "compat=1.1");
        }
        if options.extended_l2 {
            return conflict("extended_l2=on", "compat=1.1");
        }
    }
    if options.extended_l2 && cluster_size < MIN_EXTENDED_L2_CLUSTER_SIZE {
        return conflict("extended_l2=on", "a cluster_size of at least 16K");
    }
    Ok(())
}

/// Adds the header extensions and the backing file's name.
fn add_names(header: &mut Header, options: &Options) -> Result<(), Error> {
    if let Some(backing) = &options.backing {
        if let Some(format) = backing.format {
            header.extensions.push(Extension::backing_format(format));
        }
    }
    // QEMU leaves the table out where it would crowd a small header cluster
    // (block/qcow2.c, qcow2_update_header).
    if options.version == Version::V3 && options.cluster_size > 4096 {
        header.extensions.push(Extension::feature_names());
    }
    if let Some(backing) = &options.backing {
        let start = header.encode().len();
        let room = options.cluster_size as usize - start;
        let (length, limit) = (backing.name.len(), room.min(MAX_BACKING_NAME));
        if length == 0 {
            return Err(Error::EmptyBackingName);
        }
        if backing.name.contains(&0) {
            return Err(Error::NulInBackingName);
        }
        if length > limit {
            // At most 2048: too little for what a larger header would have.
            let fitting = (start + length).next_power_of_two() as u64;
            return Err(Error::BackingNameTooLong {
                length,
                limit,
                fitting_cluster_size: (length <= MAX_BACKING_NAME).then_some(fitting),
            });
        }
        if protocol(&backing.name).is_some() {
            return Err(Error::BackingNameIsProtocol(backing.name.clone()));
        }
        header.backing_name = Some(backing.name.clone());
        if !options.stamps.is_empty() {
            // Last of all, where QEMU puts extensions that it does not know.
            header
                .extensions
                .push(Extension::base_stamps(&options.stamps));
            if header.encode().len() as u64 > options.cluster_size {
                header.extensions.pop();
            }
        }
    }
    Ok(())
}

fn max_virtual_size(cluster_size: u64, extended_l2: bool) -> u64 {
    MAX_L1_ENTRIES * bytes_mapped_by_l2_table(cluster_size, extended_l2)
}

fn fitting_cluster_size(options: &Options) -> Option<u64> {
    (MIN_CLUSTER_SIZE.trailing_zeros()..=MAX_CLUSTER_SIZE.trailing_zeros())
        .map(|bits| 1 << bits)
        .find(|&size| max_virtual_size(size, options.extended_l2) >= options.virtual_size)
}

fn write_zeros(writer: &mut impl Write, mut count: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while count > 0 {
        let length = count.min(ZEROS.len() as u64);
        writer.write_all(&ZEROS[..length as usize])?;
        count -= length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::image_format::Format;

    fn layouts() -> Vec<Layout> {
        let mut layouts = Vec::new();
        for cluster_bits in 9..=21 {
            for refcount_bits in [1, 2, 4, 8, 16, 32, 64] {
                let limit = max_virtual_size(1 << cluster_bits, false);
                for size in [0, 1, 512, 1 << 20, limit / 2 + 1, limit] {
                    let options = Options::new(size)
                        .cluster_size(1 << cluster_bits)
                        .refcount_bits(refcount_bits)
                        .backing("node.img", Some(Format::Raw));
                    layouts.push(Layout::new(&options).expect("a layout"));
                }
            }
        }
        layouts
    }

    #[test]
    fn segments_follow_each_other_inside_the_file() {
        for layout in layouts() {
            let cluster_size = layout.header.cluster_size();
            let mut end = 0;
            for (offset, bytes) in layout.segments() {
                assert!(offset >= end && offset % cluster_size == 0, "{layout:?}");
                end = offset + bytes.len() as u64;
            }
            assert!(end <= layout.file_length(), "{layout:?}");
            if layout.header.l1_entries > 0 {
                assert!(end <= layout.header.l1_offset, "{layout:?}");
            }
        }
    }

    #[test]
    fn every_cluster_of_the_file_has_a_refcount_of_one() {
        for layout in layouts() {
            let refcounts = layout.refcounts();
            let ones: u32 = refcounts.iter().map(|byte| byte.count_ones()).sum();
            let clusters = layout.file_length().div_ceil(layout.header.cluster_size());
            assert_eq!(u64::from(ones), clusters, "{layout:?}");
            let room = layout.refcount_block_count * layout.header.cluster_size();
            assert!(refcounts.len() as u64 <= room, "{layout:?}");
        }
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        for layout in layouts() {
            let bytes = layout.header.encode();
            assert_eq!(Header::parse(&bytes), Ok(layout.header));
        }
    }

    #[test]
    fn the_backing_name_is_where_qemu_puts_it() {
        let offset = |options: Options| {
            let options = options.backing("node.img", Some(Format::Raw));
            let bytes = Layout::new(&options).expect("a layout").header.encode();
            BigEndian::read_u64(&bytes[8..])
        };
        assert_eq!(offset(Options::new(1).version(Version::V2)), 0x60);
        assert_eq!(offset(Options::new(1)), 0x210);
        assert_eq!(offset(Options::new(1).cluster_size(4096)), 0x88);
    }

    #[test]
    fn a_stream_has_the_length_of_the_file() {
        let layout = Layout::new(&Options::new(1 << 40)).expect("a layout");
        let mut image = Vec::new();
        layout.write_to(&mut image).expect("written");
        assert_eq!(image.len() as u64, layout.file_length());
    }
}
