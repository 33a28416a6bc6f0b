//! The layout of a new image: a pure function of its options.

use std::io::{self, Write};

use crate::format::format_error::FormatError;
use crate::format::header::new_header::new_header;
use crate::format::header::Header;
use crate::format::options::Options;
use crate::format::tables::refcounts::Refcounts;

/// The layout of an image without guest data: metadata only, no data clusters.
///
/// The file consists of the header cluster, the refcount table, the refcount blocks and
/// the L1 table. With clusters of 16 KiB and more and refcounts of 16 bits it has the
/// same bytes as a file that `qemu-img create` writes. The file ends with the last L1
/// entry, in the middle of a cluster, as QEMU's does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    header: Header,
    refcounts: Refcounts,
}

impl Layout {
    /// Computes the layout of the image that `options` describe.
    ///
    /// # Errors
    ///
    /// If a value is out of range, if options exclude each other, if the L1 table
    /// cannot map the size (the limit is 32 MiB of L1 table: 2 PiB with clusters of
    /// 64 KiB), or if no file can have the name of the backing file.
    pub fn new(options: &Options) -> Result<Self, FormatError> {
        let mut header = new_header(options)?;
        let cluster_size = options.cluster_size;
        let l1_clusters = (u64::from(header.l1_entries) * 8).div_ceil(cluster_size);
        let refcounts = Refcounts::of(1 + l1_clusters, cluster_size, options.refcount_bits)?;
        header.refcount_table_offset = cluster_size;
        header.refcount_table_clusters = refcounts.table_clusters as u32;
        if header.l1_entries > 0 {
            // Without a table, QEMU stores 0 too.
            header.l1_offset = (refcounts.clusters - l1_clusters) * cluster_size;
        }
        Ok(Layout { header, refcounts })
    }

    /// Returns the header that the image will have.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the length of the image file in bytes.
    pub fn file_length(&self) -> u64 {
        match self.header.l1_entries {
            0 => self.refcounts.clusters * self.header.cluster_size(),
            entries => self.header.l1_offset + 8 * u64::from(entries),
        }
    }

    /// Returns the parts of the file that are not zero, each with its offset, in order.
    pub fn segments(&self) -> [(u64, Vec<u8>); 3] {
        let refcounts = &self.refcounts;
        let table_offset = self.header.refcount_table_offset;
        let blocks_offset = (1 + refcounts.table_clusters) * self.header.cluster_size();
        [
            (0, self.header.encode()),
            (table_offset, refcounts.table(blocks_offset)),
            (
                blocks_offset,
                refcounts.counts(0, refcounts.counts_length() as usize),
            ),
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
    use byteorder::{BigEndian, ByteOrder};

    use super::*;
    use crate::format::header::new_header::max_virtual_size;
    use crate::format::header::Version;
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
    fn segments_are_in_order_and_within_the_file() {
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
            let refcounts = &layout.refcounts;
            let counts = refcounts.counts(0, refcounts.counts_length() as usize);
            let ones: u32 = counts.iter().map(|byte| byte.count_ones()).sum();
            let clusters = layout.file_length().div_ceil(layout.header.cluster_size());
            assert_eq!(u64::from(ones), clusters, "{layout:?}");
            let room = refcounts.blocks * layout.header.cluster_size();
            assert!(counts.len() as u64 <= room, "{layout:?}");
        }
    }

    #[test]
    fn a_header_is_parsed_as_it_was_encoded() {
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
