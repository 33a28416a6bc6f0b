//! The internal snapshots of an image.

use std::io::{Read, Seek};

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::error::Result;
use crate::format::format_error::corrupt;
use crate::format::header::Header;
use crate::format::name::up_to_nul;
use crate::format::tables::limits::MAX_SNAPSHOTS;
use crate::format::tables::reader::{Names, Table};

/// QEMU's limits (`block/qcow2.h`, below `QCOW_MAX_SNAPSHOTS`), in bytes; the
/// specification has none.
const MAX_TABLE: u64 = 1024 * MAX_SNAPSHOTS as u64;
const MAX_EXTRA_DATA: u32 = 1024;

/// Length of an entry up to its extra data, in bytes.
const FIXED: usize = 40;
const NAMES: Names = Names {
    table: "the snapshot table",
    length: "length of the snapshot table",
};

/// An entry of the snapshot table (the specification's section "Snapshots").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Unique in the image; a decimal number if QEMU chose it. At most 65535 bytes.
    /// As in QEMU, the ID and the name end at their first NUL.
    pub id: Vec<u8>,
    /// The name that the user gave. At most 65535 bytes.
    pub name: Vec<u8>,
    /// Where its L1 table starts, in bytes from the start of the file. Not checked.
    pub l1_offset: u64,
    /// Number of entries of 8 bytes in its L1 table. Not checked.
    pub l1_entries: u32,
    /// When it was taken, in seconds since the Epoch (UTC).
    pub date_seconds: u32,
    /// Nanoseconds of that time. Not checked to be less than a second.
    pub date_nanoseconds: u32,
    /// How long the guest had run, in nanoseconds.
    pub vm_clock: u64,
    /// Size of the saved VM state in bytes; 0 if none was saved.
    pub vm_state_size: u64,
    /// Size of the disk in bytes; some version 2 images do not record it.
    pub virtual_size: Option<u64>,
    /// Number of instructions that the guest had executed, if QEMU counted them.
    pub icount: Option<u64>,
}

impl Snapshot {
    /// Reads the snapshots of the image with `header`, in the order of the snapshot table.
    ///
    /// # Errors
    ///
    /// Those of `reader`, and [`FormatError::Truncated`] if the table
    /// ends beyond the end of the file; [`FormatError::Corrupt`] if its offset is 0 or not a
    /// multiple of the cluster size, or if it has more than 65536 entries, more than
    /// 64 MiB, or more than 1024 bytes of extra data in an entry. QEMU has the same
    /// limits (`block/qcow2-snapshot.c`, `qcow2_do_read_snapshots`).
    ///
    /// [`FormatError::Truncated`]: crate::FormatError::Truncated
    /// [`FormatError::Corrupt`]: crate::FormatError::Corrupt
    pub fn read_all(reader: &mut (impl Read + Seek), header: &Header) -> Result<Vec<Self>> {
        let mut snapshots = Vec::new();
        if header.snapshot_count == 0 {
            return Ok(snapshots);
        }
        if header.snapshot_count > MAX_SNAPSHOTS {
            return Ok(corrupt("nb_snapshots", header.snapshot_count)?);
        }
        let start = header.snapshots_offset;
        if start == 0 || !start.is_multiple_of(header.cluster_size()) {
            return Ok(corrupt("snapshots_offset", start)?);
        }
        let mut table = Table::new(reader, NAMES, start, MAX_TABLE)?;
        for _ in 0..header.snapshot_count {
            snapshots.push(Self::read(&mut table)?);
            table.align();
        }
        Ok(snapshots)
    }

    fn read(table: &mut Table<'_, impl Read + Seek>) -> Result<Self> {
        let fixed = table.take(FIXED)?;
        let id_length = usize::from(BE::read_u16(&fixed[12..]));
        let name_length = usize::from(BE::read_u16(&fixed[14..]));
        let extra_length = BE::read_u32(&fixed[36..]);
        if extra_length > MAX_EXTRA_DATA {
            return Ok(corrupt("extra data size of a snapshot", extra_length)?);
        }
        let extra = table.take(extra_length as usize)?;
        // A field is present if the extra data is long enough for all of it.
        let field = |at: usize| extra.get(at..at + 8).map(BE::read_u64);
        Ok(Snapshot {
            id: up_to_nul(&table.take(id_length)?).to_vec(),
            name: up_to_nul(&table.take(name_length)?).to_vec(),
            l1_offset: BE::read_u64(&fixed),
            l1_entries: BE::read_u32(&fixed[8..]),
            date_seconds: BE::read_u32(&fixed[16..]),
            date_nanoseconds: BE::read_u32(&fixed[20..]),
            vm_clock: BE::read_u64(&fixed[24..]),
            vm_state_size: field(0).unwrap_or(BE::read_u32(&fixed[32..]).into()),
            virtual_size: field(8),
            icount: field(16).filter(|&count| count != u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use std::io;

    use super::*;
    use crate::format::error::Error;
    use crate::format::format_error::FormatError;

    const START: usize = 65536;

    fn entry(extra: &[u64], id: &str, name: &str) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        BE::write_u16(&mut bytes[12..], id.len() as u16);
        BE::write_u16(&mut bytes[14..], name.len() as u16);
        BE::write_u32(&mut bytes[16..], 1_700_000_000);
        BE::write_u32(&mut bytes[32..], 4096);
        BE::write_u32(&mut bytes[36..], 8 * extra.len() as u32);
        bytes.extend(extra.iter().flat_map(|word| word.to_be_bytes()));
        bytes.extend(id.bytes().chain(name.bytes()));
        bytes
    }

    fn read(count: u32, table: &[u8]) -> Result<Vec<Snapshot>> {
        let header = Header {
            cluster_bits: 16,
            snapshot_count: count,
            snapshots_offset: START as u64,
            ..Header::default()
        };
        let image = [&[0; START], table].concat();
        Snapshot::read_all(&mut Cursor::new(image), &header)
    }

    fn error(result: Result<Vec<Snapshot>>) -> FormatError {
        match result {
            Err(Error::Format(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn extra_data_may_end_before_any_field_or_have_unknown_ones() {
        let mut table = Vec::new();
        let words = [1 << 40, 2 << 30, 7, 0xdead_beef];
        for count in 0..=words.len() {
            table.resize(table.len().next_multiple_of(8), 0);
            table.extend(entry(&words[..count], "1", "a name"));
        }
        let snapshots = read(5, &table).expect("snapshots");
        let found: Vec<_> = snapshots
            .iter()
            .map(|s| (s.vm_state_size, s.virtual_size, s.icount))
            .collect();
        let (large, disk) = (1 << 40, Some(2 << 30));
        assert_eq!(found[0], (4096, None, None));
        assert_eq!(found[1], (large, None, None));
        assert_eq!(found[2], (large, disk, None));
        assert_eq!(found[3], (large, disk, Some(7)));
        assert_eq!(found[4], found[3]);
        assert!(snapshots
            .iter()
            .all(|s| s.id == b"1" && s.name == b"a name"));
    }

    #[test]
    fn an_icount_of_minus_one_is_none() {
        let snapshots = read(1, &entry(&[0, 0, u64::MAX], "1", "")).expect("snapshots");
        assert_eq!(snapshots[0].icount, None);
    }

    #[test]
    fn an_entry_that_is_cut_off_anywhere_is_truncated() {
        let one = entry(&[0, 0, 0], "1", "name");
        let mut two = one.clone();
        two.resize(two.len().next_multiple_of(8), 0);
        let second = two.len();
        two.extend(&one);
        for length in 0..two.len() {
            let least = if length < one.len() { 0 } else { second };
            match error(read(2, &two[..length])) {
                FormatError::Truncated { what, end, length } => {
                    assert_eq!(what, NAMES.table);
                    assert!(end > length && end > (START + least) as u64);
                }
                other => panic!("{length}: {other:?}"),
            }
        }
        read(2, &two).expect("snapshots");
    }

    #[test]
    fn impossible_counts_and_offsets_are_refused() {
        let one = entry(&[0, 0], "1", "name");
        let corrupt = |field, value| FormatError::Corrupt { field, value };
        for count in [65537, u32::MAX] {
            assert_eq!(
                error(read(count, &one)),
                corrupt("nb_snapshots", count.into())
            );
        }
        let mut header = Header {
            cluster_bits: 16,
            snapshot_count: 1,
            ..Header::default()
        };
        for offset in [0, 512, u64::MAX] {
            header.snapshots_offset = offset;
            let found = Snapshot::read_all(&mut Cursor::new(&one), &header);
            assert_eq!(error(found), corrupt("snapshots_offset", offset));
        }
        header.snapshots_offset = u64::MAX << 16;
        let found = error(Snapshot::read_all(&mut Cursor::new(&one), &header));
        assert!(matches!(found, FormatError::Truncated { .. }), "{found:?}");
    }

    #[test]
    fn too_much_extra_data_is_corrupt() {
        let mut one = entry(&[0; 128], "1", "name");
        read(1, &one).expect("snapshots");
        BE::write_u32(&mut one[36..], 1025);
        let field = "extra data size of a snapshot";
        assert_eq!(
            error(read(1, &one)),
            FormatError::Corrupt { field, value: 1025 }
        );
    }

    #[test]
    fn a_table_over_64_mib_is_corrupt() {
        // Repeats one entry, so that the test need not hold such a table in memory.
        struct Repeated(Vec<u8>, u64);
        impl Read for Repeated {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let rest = &self.0[self.1 as usize % self.0.len()..];
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.1 += count as u64;
                Ok(count)
            }
        }
        impl Seek for Repeated {
            fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
                self.1 = match to {
                    io::SeekFrom::Start(at) => at,
                    _ => 1 << 40,
                };
                Ok(self.1)
            }
        }
        let one = entry(&[0; 3], "1", &"n".repeat((32 << 10) - FIXED - 24 - 1));
        assert_eq!(one.len(), 32 << 10);
        let mut header = Header {
            cluster_bits: 16,
            snapshot_count: 2048,
            snapshots_offset: START as u64,
            ..Header::default()
        };
        let found = Snapshot::read_all(&mut Repeated(one.clone(), 0), &header);
        assert_eq!(found.expect("snapshots").len(), 2048);
        header.snapshot_count += 1;
        let found = Snapshot::read_all(&mut Repeated(one, 0), &header);
        let value = (64 << 20) + FIXED as u64;
        let field = NAMES.length;
        assert_eq!(error(found), FormatError::Corrupt { field, value });
    }
}
