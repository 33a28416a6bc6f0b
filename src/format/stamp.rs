//! A record that identifies the files that back a disk, in a header extension of our own.

use std::fmt;

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::error::{corrupt, Error};

/// The version of the record, which is its first field.
const VERSION: u32 = 1;
/// Bytes in front of the stamps.
const START: usize = 4;
/// Bytes of a stamp.
const ENTRY: usize = 20;

/// What tells cheaply whether a file is still the one it was: its length and the time
/// of its last modification. The content is not read.
///
/// This errs on the safe side on purpose. A file that was rewritten with the same
/// bytes counts as changed, which is a nuisance; the other error would corrupt a
/// guest's file system. Only a tool that sets back the time of a file it has changed,
/// or a block device, whose time says little of its content, goes unnoticed.
///
/// The record of a disk is the data of the header extension of type `0x52513242`,
/// [`Extension::BASE_STAMPS`](crate::Extension::BASE_STAMPS). It has one entry for
/// each image that backs the disk, the nearest first; all numbers are big endian:
///
/// | bytes | |
/// |---|---|
/// | 0 to 3 | version of the record: 1 |
/// | 4 + 20 i to 11 + 20 i | length of file i in bytes |
/// | 12 + 20 i to 19 + 20 i | its modification time: seconds since 1970, signed |
/// | 20 + 20 i to 23 + 20 i | and nanoseconds, 0 to 999999999 |
///
/// QEMU keeps an extension it does not know, and ignores it (`block/qcow2.c`,
/// `qcow2_read_extensions` and `qcow2_update_header`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Length of the file in bytes.
    pub length: u64,
    /// Seconds since 1970 of the last modification.
    pub seconds: i64,
    /// Nanoseconds of that second.
    pub nanoseconds: u32,
}

/// As `stat -c '%s %.9Y'` prints it: length and seconds.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stamp {
            length,
            seconds,
            nanoseconds,
        } = self;
        write!(f, "{length} {seconds}.{nanoseconds:09}")
    }
}

/// The data of the header extension.
pub(crate) fn encode(stamps: &[Stamp]) -> Vec<u8> {
    let mut data = vec![0; START + stamps.len() * ENTRY];
    BE::write_u32(&mut data, VERSION);
    for (entry, stamp) in data[START..].chunks_exact_mut(ENTRY).zip(stamps) {
        BE::write_u64(entry, stamp.length);
        BE::write_i64(&mut entry[8..], stamp.seconds);
        BE::write_u32(&mut entry[16..], stamp.nanoseconds);
    }
    data
}

/// Reads what [`encode`] makes. Anything else is an error: what cannot be understood
/// must not pass for a base that has not changed.
pub(crate) fn decode(data: &[u8]) -> Result<Vec<Stamp>, Error> {
    let entries = data.get(START..).unwrap_or_default();
    if entries.is_empty() || entries.len() % ENTRY != 0 {
        return corrupt("length of the record of bases", data.len() as u64);
    }
    let version = BE::read_u32(data);
    if version != VERSION {
        return corrupt("version of the record of bases", version);
    }
    let stamps = entries.chunks_exact(ENTRY).map(|entry| Stamp {
        length: BE::read_u64(entry),
        seconds: BE::read_i64(&entry[8..]),
        nanoseconds: BE::read_u32(&entry[16..]),
    });
    Ok(stamps.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::header::Header;
    use crate::format::image_format::Format;
    use crate::format::layout::Layout;
    use crate::format::options::Options;

    const STAMPS: [Stamp; 2] = [
        Stamp {
            length: 8 << 20,
            seconds: 1_795_418_085,
            nanoseconds: 123_456_789,
        },
        Stamp {
            length: 0,
            seconds: -1,
            nanoseconds: 0,
        },
    ];

    #[test]
    fn a_record_has_the_bytes_that_are_documented() {
        let data = encode(&STAMPS);
        let expected = b"\0\0\0\x01\
            \0\0\0\0\0\x80\0\0\0\0\0\0\x6b\x03\xe7\xe5\x07\x5b\xcd\x15\
            \0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(data, expected);
        assert_eq!(decode(&data), Ok(STAMPS.to_vec()));
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_an_error() {
        let data = encode(&STAMPS);
        let mut newer = data.clone();
        newer[3] = 2;
        let long = [&data[..], b"\0"].concat();
        for broken in [b"", &data[..3], &data[..4], &data[..40], &long, &newer] {
            assert!(decode(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_record_is_left_out_where_the_first_cluster_has_no_room() {
        let header = |name_length: usize| {
            let options = Options::new(1 << 20)
                .cluster_size(512)
                .backing("n".repeat(name_length), Some(Format::Raw))
                .stamps(STAMPS);
            let layout = Layout::new(&options).expect("a layout");
            Header::parse(&layout.header().encode()).expect("a header")
        };
        // 512 - 112 (header) - 16 (backing format) - 56 (the record) - 8 (end)
        assert_eq!(header(320).stamps(), Ok(Some(STAMPS.to_vec())));
        assert_eq!(header(321).stamps(), Ok(None));
        assert_eq!(header(376).backing_name.expect("a name").len(), 376);
    }

    #[test]
    fn a_disk_on_nothing_has_no_record() {
        let layout = Layout::new(&Options::new(1).stamps(STAMPS)).expect("a layout");
        assert_eq!(layout.header().stamps(), Ok(None));
    }

    #[test]
    fn a_stamp_prints_as_stat_prints_it() {
        assert_eq!(STAMPS[0].to_string(), "8388608 1795418085.123456789");
    }
}
