//! The record of the files that back a disk, in a header extension of our own.

use std::fmt;

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::format_error::{corrupt, FormatError};

/// The version of the record, its first field.
const VERSION: u32 = 1;
/// Offset of the first state, in bytes.
const START: usize = 4;
/// Length of a state, in bytes.
const ENTRY: usize = 20;

/// The length of a file and the time of its last modification. They tell cheaply whether
/// the file has changed: its content is not read.
///
/// This errs on the safe side on purpose. A file that was rewritten with the same
/// bytes counts as changed, which is a nuisance; the opposite error would corrupt a
/// guest's file system. A change goes unnoticed if a tool sets back the time of the file. The
/// time of a block device is that of its node: what is written by this node sets it, what is
/// written in another way does not (a partition, a mounted file system, a loop device's file).
///
/// The record of a disk is the data of the header extension of type `0x52513242`,
/// [`Extension::BACKING_FILE_STATES`](crate::Extension::BACKING_FILE_STATES). It has one entry for
/// each image that backs the disk, the nearest first; all numbers are big endian:
///
/// | bytes | |
/// |---|---|
/// | 0 to 3 | version of the record: 1 |
/// | 4 + 20 i to 11 + 20 i | length of file i in bytes |
/// | 12 + 20 i to 19 + 20 i | its modification time: seconds since 1970, signed |
/// | 20 + 20 i to 23 + 20 i | and nanoseconds, 0 to 999999999 |
///
/// QEMU ignores an extension that it does not know, and keeps it (`block/qcow2.c`,
/// `qcow2_read_extensions` and `qcow2_update_header`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Length of the file in bytes.
    pub length: u64,
    /// Time of the last modification, in seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of that time.
    pub nanoseconds: u32,
}

impl FileState {
    /// Returns the time as `stat -c %.9Y` prints it.
    pub(crate) fn time(&self) -> String {
        format!("{}.{:09}", self.seconds, self.nanoseconds)
    }
}

/// Prints the length and the time, as `stat -c '%s %.9Y'` does.
impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.length, self.time())
    }
}

/// Returns the data of the header extension.
pub(crate) fn encode(states: &[FileState]) -> Vec<u8> {
    let mut data = vec![0; START + states.len() * ENTRY];
    BE::write_u32(&mut data, VERSION);
    for (entry, state) in data[START..].chunks_exact_mut(ENTRY).zip(states) {
        BE::write_u64(entry, state.length);
        BE::write_i64(&mut entry[8..], state.seconds);
        BE::write_u32(&mut entry[16..], state.nanoseconds);
    }
    data
}

/// Reads the data that [`encode`] returns. Anything else is an error: a record that cannot
/// be understood must not pass for an unchanged base.
pub(crate) fn decode(data: &[u8]) -> Result<Vec<FileState>, FormatError> {
    let entries = data.get(START..).unwrap_or_default();
    if entries.is_empty() || entries.len() % ENTRY != 0 {
        return corrupt("length of the record of bases", data.len() as u64);
    }
    let version = BE::read_u32(data);
    if version != VERSION {
        return corrupt("version of the record of bases", version);
    }
    let states = entries.chunks_exact(ENTRY).map(|entry| FileState {
        length: BE::read_u64(entry),
        seconds: BE::read_i64(&entry[8..]),
        nanoseconds: BE::read_u32(&entry[16..]),
    });
    Ok(states.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::header::Header;
    use crate::format::image_format::Format;
    use crate::format::layout::Layout;
    use crate::format::options::Options;

    const STATES: [FileState; 2] = [
        FileState {
            length: 8 << 20,
            seconds: 1_795_418_085,
            nanoseconds: 123_456_789,
        },
        FileState {
            length: 0,
            seconds: -1,
            nanoseconds: 0,
        },
    ];

    #[test]
    fn a_record_has_the_documented_bytes() {
        let data = encode(&STATES);
        let expected = b"\0\0\0\x01\
            \0\0\0\0\0\x80\0\0\0\0\0\0\x6b\x03\xe7\xe5\x07\x5b\xcd\x15\
            \0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(data, expected);
        assert_eq!(decode(&data), Ok(STATES.to_vec()));
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_an_error() {
        let data = encode(&STATES);
        let mut newer = data.clone();
        newer[3] = 2;
        let long = [&data[..], b"\0"].concat();
        for broken in [b"", &data[..3], &data[..4], &data[..40], &long, &newer] {
            assert!(decode(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_record_is_left_out_if_the_first_cluster_has_no_room() {
        let header = |name_length: usize| {
            let options = Options::new(1 << 20)
                .cluster_size(512)
                .backing("n".repeat(name_length), Some(Format::Raw))
                .backing_file_states(STATES);
            let layout = Layout::new(&options).expect("a layout");
            Header::parse(&layout.header().encode()).expect("a header")
        };
        // 512 - 112 (header) - 16 (backing format) - 56 (the record) - 8 (end)
        assert_eq!(header(320).backing_file_states(), Ok(Some(STATES.to_vec())));
        assert_eq!(header(321).backing_file_states(), Ok(None));
        assert_eq!(header(376).backing_name.expect("a name").len(), 376);
    }

    #[test]
    fn a_disk_without_a_backing_file_has_no_record() {
        let layout = Layout::new(&Options::new(1).backing_file_states(STATES)).expect("a layout");
        assert_eq!(layout.header().backing_file_states(), Ok(None));
    }

    #[test]
    fn a_stamp_is_printed_as_by_stat() {
        assert_eq!(STATES[0].to_string(), "8388608 1795418085.123456789");
    }
}
