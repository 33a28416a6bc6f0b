//! The bitmap directory of an image.

use std::collections::HashSet;
use std::io::{Read, Seek};

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::bitmaps::bitmap::{check_table, directory, Bitmap};
use crate::format::error::Result;
use crate::format::format_error::require;
use crate::format::header::extension::Extension;
use crate::format::header::Header;
use crate::format::name::up_to_nul;
use crate::format::tables::reader::{Names, Table};

/// QEMU's limits (`block/qcow2-bitmap.c`, `BME_MAX_NAME_SIZE` and above).
const MAX_NAME: u16 = 1023;
const MIN_GRANULARITY_BITS: u8 = 9;
const MAX_GRANULARITY_BITS: u8 = 31;

/// Length of an entry up to its extra data, in bytes.
const FIXED: usize = 24;
const NAMES: Names = Names {
    table: "the bitmap directory",
    length: "end of an entry in the bitmap directory",
};

impl Bitmap {
    const IN_USE: u32 = 1 << 0;
    const AUTO: u32 = 1 << 1;
    /// The only type there is: a bitmap that tracks writes.
    const DIRTY_TRACKING: u8 = 1;

    /// Reads the bitmaps of the image with `header`, in the order of the bitmap directory.
    /// Without the feature bit there are none: a program that does not know bitmaps has
    /// written to the image, so they are no longer valid.
    ///
    /// # Errors
    ///
    /// Those of `reader`, and [`FormatError::Truncated`] if the directory or
    /// the table of a bitmap ends beyond the end of the file (QEMU reads zeros there);
    /// [`FormatError::Corrupt`] for values that the specification rules out or QEMU refuses, such
    /// as more than 65535 bitmaps, or extra data (`block/qcow2.c`, `qcow2_read_extensions`;
    /// `block/qcow2-bitmap.c`, `qcow2_load_dirty_bitmaps`).
    ///
    /// [`FormatError::Truncated`]: crate::FormatError::Truncated
    /// [`FormatError::Corrupt`]: crate::FormatError::Corrupt
    pub fn read_all(reader: &mut (impl Read + Seek), header: &Header) -> Result<Vec<Self>> {
        let mut bitmaps = Vec::new();
        let extension = match header.extension(Extension::BITMAPS) {
            Some(extension) if header.autoclear_features & Header::BITMAPS != 0 => extension,
            _ => return Ok(bitmaps),
        };
        let (count, size, offset) = directory(extension, header.cluster_size())?;
        let mut table = Table::new(reader, NAMES, offset, size)?;
        table.check_in_file(NAMES.table, offset, size)?;
        for _ in 0..count {
            bitmaps.push(Self::read(&mut table, header.cluster_size())?);
            table.align();
        }
        require(table.position() == size, "bitmap_directory_size", size)?;
        let mut names = HashSet::new();
        for (index, bitmap) in bitmaps.iter().enumerate() {
            let is_new = names.insert(&bitmap.name);
            if !bitmap.in_use {
                check_table(reader, header, bitmap)?;
                require(
                    is_new,
                    "number of a bitmap with the name of another",
                    index as u64,
                )?;
            }
        }
        Ok(bitmaps)
    }

    fn read(table: &mut Table<'_, impl Read + Seek>, cluster_size: u64) -> Result<Self> {
        let fixed = table.take(FIXED)?;
        let table_offset = BE::read_u64(&fixed);
        let table_entries = BE::read_u32(&fixed[8..]);
        let flags = BE::read_u32(&fixed[12..]);
        let (kind, granularity_bits) = (fixed[16], fixed[17]);
        let name_length = BE::read_u16(&fixed[18..]);
        let extra_length = BE::read_u32(&fixed[20..]);
        let known = Self::IN_USE | Self::AUTO;
        let is_aligned = table_offset != 0 && table_offset % cluster_size == 0;
        require(is_aligned, "bitmap_table_offset", table_offset)?;
        require(table_entries != 0, "bitmap_table_size", table_entries)?;
        require(flags & !known == 0, "flags of a bitmap", flags)?;
        require(kind == Self::DIRTY_TRACKING, "type of a bitmap", kind)?;
        let has_granularity =
            (MIN_GRANULARITY_BITS..=MAX_GRANULARITY_BITS).contains(&granularity_bits);
        require(has_granularity, "granularity_bits", granularity_bits)?;
        require(
            extra_length == 0,
            "extra_data_size of a bitmap",
            extra_length,
        )?;
        let has_name = (1..=MAX_NAME).contains(&name_length);
        require(has_name, "name_size of a bitmap", name_length)?;
        table.check_in_file(
            "the table of a bitmap",
            table_offset,
            8 * u64::from(table_entries),
        )?;
        Ok(Bitmap {
            name: up_to_nul(&table.take(name_length.into())?).to_vec(),
            granularity_bits,
            in_use: flags & Self::IN_USE != 0,
            auto: flags & Self::AUTO != 0,
            table_offset,
            table_entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::format::bitmaps::bitmap::{LENGTH, MAX_DIRECTORY};
    use crate::format::error::Error;
    use crate::format::format_error::FormatError;

    const START: usize = 65536;

    /// Returns the entry of a bitmap with its table at the start of the directory, whose first
    /// word is also a valid entry of a table.
    fn entry(name: &str) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        BE::write_u64(&mut bytes, START as u64);
        BE::write_u32(&mut bytes[8..], 1);
        BE::write_u32(&mut bytes[12..], Bitmap::AUTO);
        bytes[16] = Bitmap::DIRTY_TRACKING;
        bytes[17] = 16;
        BE::write_u16(&mut bytes[18..], name.len() as u16);
        bytes.extend(name.bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn extension(count: u32, size: u64) -> Vec<u8> {
        let mut data = vec![0; LENGTH as usize];
        BE::write_u32(&mut data, count);
        BE::write_u64(&mut data[8..], size);
        BE::write_u64(&mut data[16..], START as u64);
        data
    }

    fn header(data: Vec<u8>) -> Header {
        let kind = Extension::BITMAPS;
        Header {
            cluster_bits: 16,
            virtual_size: 1 << 20,
            autoclear_features: Header::BITMAPS,
            extensions: vec![Extension { kind, data }],
            ..Header::default()
        }
    }

    fn read(header: &Header, directory: &[u8]) -> Result<Vec<Bitmap>> {
        let image = [&[0; START], directory].concat();
        Bitmap::read_all(&mut Cursor::new(image), header)
    }

    fn error(result: Result<Vec<Bitmap>>) -> FormatError {
        match result {
            Err(Error::Format(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_a_directory() {
        let mut directory = [entry("first"), entry("the second")].concat();
        directory[15] = Bitmap::IN_USE as u8;
        let header = header(extension(2, directory.len() as u64));
        let bitmaps = read(&header, &directory).expect("bitmaps");
        let [first, second] = &bitmaps[..] else {
            panic!("{bitmaps:?}");
        };
        assert_eq!(first.name, b"first");
        assert!(first.in_use && !first.auto);
        assert_eq!(second.name, b"the second");
        assert!(!second.in_use && second.auto);
        assert_eq!(second.granularity(), 65536);
    }

    #[test]
    fn without_the_feature_bit_there_are_no_bitmaps() {
        let mut header = header(extension(u32::MAX, u64::MAX));
        header.autoclear_features = 0;
        assert_eq!(read(&header, &[]).expect("bitmaps"), []);
    }

    #[test]
    fn a_directory_cut_off_anywhere_is_truncated() {
        let directory = [entry("first"), entry("second")].concat();
        let header = header(extension(2, directory.len() as u64));
        for length in 0..directory.len() {
            let expected = FormatError::Truncated {
                what: NAMES.table,
                end: (START + directory.len()) as u64,
                length: (START + length) as u64,
            };
            assert_eq!(error(read(&header, &directory[..length])), expected);
        }
    }

    #[test]
    fn mismatched_counts_and_sizes_are_corrupt() {
        let directory = [entry("first"), entry("second")].concat();
        let size = directory.len() as u64;
        for (count, size, field, value) in [
            (0, size, "nb_bitmaps", 0),
            (65536, size, "nb_bitmaps", 65536),
            (1, size, "bitmap_directory_size", size),
            (3, size, NAMES.length, size + FIXED as u64),
            (2, size - 8, NAMES.length, size - 2),
            (2, 0, NAMES.length, FIXED as u64),
            (
                2,
                MAX_DIRECTORY + 1,
                "bitmap_directory_size",
                MAX_DIRECTORY + 1,
            ),
            (2, u64::MAX, "bitmap_directory_size", u64::MAX),
        ] {
            let header = header(extension(count, size));
            let found = error(read(&header, &directory));
            assert_eq!(found, FormatError::Corrupt { field, value });
        }
        for value in [0, 23, 32] {
            let mut data = extension(2, size);
            data.resize(value as usize, 0);
            let found = error(read(&header(data), &directory));
            let field = "length of the bitmaps extension";
            assert_eq!(found, FormatError::Corrupt { field, value });
        }
    }

    #[test]
    fn impossible_offsets_of_the_directory_are_refused() {
        let directory = entry("name");
        for offset in [0, 512, u64::MAX] {
            let mut data = extension(1, directory.len() as u64);
            BE::write_u64(&mut data[16..], offset);
            let field = "bitmap_directory_offset";
            let found = error(read(&header(data), &directory));
            assert_eq!(
                found,
                FormatError::Corrupt {
                    field,
                    value: offset
                }
            );
        }
        let mut data = extension(1, directory.len() as u64);
        BE::write_u64(&mut data[16..], u64::MAX << 16);
        let found = error(read(&header(data), &directory));
        assert!(matches!(found, FormatError::Truncated { .. }), "{found:?}");
    }

    #[test]
    fn impossible_fields_of_an_entry_are_refused() {
        let good = entry("name");
        let header = header(extension(1, good.len() as u64));
        for (offset, value, field) in [
            (6, 1, "bitmap_table_offset"),
            (5, 0, "bitmap_table_offset"),
            (11, 0, "bitmap_table_size"),
            (12, 1, "flags of a bitmap"),
            (15, 8, "flags of a bitmap"),
            (16, 0, "type of a bitmap"),
            (16, 2, "type of a bitmap"),
            (17, 8, "granularity_bits"),
            (17, 32, "granularity_bits"),
            (23, 4, "extra_data_size of a bitmap"),
            (18, 4, "name_size of a bitmap"),
            (19, 0, "name_size of a bitmap"),
            (18, 1, NAMES.length),
            (20, 255, "extra_data_size of a bitmap"),
        ] {
            let mut bad = good.clone();
            bad[offset] = value;
            match error(read(&header, &bad)) {
                FormatError::Corrupt { field: found, .. } => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
        for offset in [0, 8] {
            let mut bad = good.clone();
            bad[offset] = 0xff;
            match error(read(&header, &bad)) {
                FormatError::Truncated { what, .. } => assert_eq!(what, "the table of a bitmap"),
                other => panic!("{other:?}"),
            }
        }
    }
}
