//! Header extensions, which are between the header and the backing file's name.

use std::ops::Range;

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::format_error::{check_end, corrupt, FormatError};
use crate::format::header::file_state::{self, FileState};
use crate::format::image_format::Format;

/// Length of an entry in the table of feature names, in bytes.
const FEATURE_NAME: usize = 48;

/// A header extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The type (the specification's section "Header extensions").
    pub kind: u32,
    /// The data without padding. The first cluster must have room for it.
    pub data: Vec<u8>,
}

impl Extension {
    const END: u32 = 0;
    /// The format of the backing file, such as `raw`.
    pub const BACKING_FORMAT: u32 = 0xE279_2ACA;
    /// Names of feature bits, for messages of programs that do not know the features.
    pub const FEATURE_NAMES: u32 = 0x6803_F857;
    /// Where the list of persistent bitmaps is.
    pub const BITMAPS: u32 = 0x2385_2875;
    /// The name of the external data file.
    pub const DATA_FILE: u32 = 0x4441_5441;
    /// Where the LUKS header is.
    pub const CRYPTO_HEADER: u32 = 0x0537_BE77;
    /// Our own, `RQ2B` in ASCII: the record of the backing files. [`FileState`] documents its
    /// bytes.
    pub const BACKING_FILE_STATES: u32 = 0x5251_3242;

    pub(crate) fn backing_format(format: Format) -> Self {
        let data = format.name().as_bytes().to_vec();
        Extension {
            kind: Self::BACKING_FORMAT,
            data,
        }
    }

    pub(crate) fn base_stamps(states: &[FileState]) -> Self {
        Extension {
            kind: Self::BACKING_FILE_STATES,
            data: file_state::encode(states),
        }
    }

    /// Returns the table that QEMU writes (`block/qcow2.c`, `qcow2_update_header`). An entry
    /// has the type of a feature (0 incompatible, 1 compatible, 2 autoclear), its bit and
    /// its name.
    pub(crate) fn feature_names() -> Self {
        const NAMES: [(u8, u8, &str); 8] = [
            (0, 0, "dirty bit"),
            (0, 1, "corrupt bit"),
            (0, 2, "external data file"),
            (0, 3, "compression type"),
            (0, 4, "extended L2 entries"),
            (1, 0, "lazy refcounts"),
            (2, 0, "bitmaps"),
            (2, 1, "raw external data"),
        ];
        let mut data = vec![0; NAMES.len() * FEATURE_NAME];
        for (entry, (kind, bit, name)) in data.chunks_exact_mut(FEATURE_NAME).zip(NAMES) {
            entry[0] = kind;
            entry[1] = bit;
            entry[2..2 + name.len()].copy_from_slice(name.as_bytes());
        }
        Extension {
            kind: Self::FEATURE_NAMES,
            data,
        }
    }
}

/// Appends `extensions` and the end marker to `bytes`.
pub(crate) fn encode(extensions: &[Extension], bytes: &mut Vec<u8>) {
    for extension in extensions {
        let start = bytes.len();
        bytes.resize(start + 8, 0);
        BE::write_u32(&mut bytes[start..], extension.kind);
        BE::write_u32(&mut bytes[start + 4..], extension.data.len() as u32);
        bytes.extend(&extension.data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes.extend([0; 8]);
}

/// Returns the name of incompatible feature `bit` in a table of feature names.
pub(crate) fn feature_name(table: &[u8], bit: u32) -> Option<String> {
    let mut entries = table.chunks_exact(FEATURE_NAME);
    let entry = entries.find(|entry| entry[0] == 0 && u32::from(entry[1]) == bit)?;
    let name = entry[2..].split(|&byte| byte == 0).next()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Parses the extensions in `area` of the `bytes` of a file, up to the end marker or to the end of the
/// area, of which the file lacks the last `missing` bytes.
pub(crate) fn parse(
    bytes: &[u8],
    area: Range<usize>,
    missing: u64,
) -> Result<Vec<Extension>, FormatError> {
    let mut extensions = Vec::new();
    let mut at = area.start;
    while area.end.saturating_sub(at) >= 8 {
        let kind = BE::read_u32(&bytes[at..]);
        let length = BE::read_u32(&bytes[at + 4..]);
        let end = at as u64 + 8 + u64::from(length);
        if end > area.end as u64 + missing {
            return corrupt("header extension length", length);
        }
        check_end("a header extension", end, area.end as u64)?;
        if kind == Extension::END {
            return Ok(extensions);
        }
        extensions.push(Extension {
            kind,
            data: bytes[at + 8..end as usize].to_vec(),
        });
        at += 8 + (length as usize).next_multiple_of(8);
    }
    // QEMU reads zeros beyond the end of the file, which are an end marker.
    if at >= area.end || missing > 0 {
        Ok(extensions)
    } else {
        corrupt("space for a header extension", (area.end - at) as u64)
    }
}
