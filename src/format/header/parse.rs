//! Reads a header, and refuses versions and features that are unknown.

use std::io::Read;

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::error::Result;
use crate::format::format_error::{check_end, corrupt, FormatError};
use crate::format::header::check::check_extensions;
use crate::format::header::extension::{self, Extension};
use crate::format::header::{Header, Version, MAGIC, V2_LENGTH, V3_MIN_LENGTH};
use crate::format::name::up_to_nul;
use crate::format::tables::limits::MAX_BACKING_NAME;

impl Header {
    /// Reads the header from an image, of which only the first cluster is read.
    ///
    /// # Errors
    ///
    /// Those of `reader` and of [`Header::parse`].
    pub fn read(reader: &mut impl Read) -> Result<Self> {
        let mut bytes = Vec::new();
        reader.take(V2_LENGTH as u64).read_to_end(&mut bytes)?;
        let cluster_size = 1 << check_start(&bytes)?;
        bytes.reserve(cluster_size as usize); // to read it at once
        reader
            .take(cluster_size - bytes.len() as u64)
            .read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes)?)
    }

    /// Parses a header from `bytes`, the first cluster of an image (or less if the file is
    /// shorter).
    ///
    /// # Errors
    ///
    /// [`FormatError::NotQcow2`], [`FormatError::Truncated`], [`FormatError::UnknownFeature`], and
    /// [`FormatError::Corrupt`] for values that the specification rules out or QEMU refuses
    /// (`block/qcow2.c`, `qcow2_do_open`). QEMU refuses less. It reads zeros beyond the end
    /// of the file, so it can take an image that is cut off for an empty one. It also
    /// accepts a backing file's name inside the header.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let cluster_bits = check_start(bytes)?;
        let mut header = Header {
            version: Version::V2,
            cluster_bits,
            virtual_size: BE::read_u64(&bytes[24..]),
            encryption: BE::read_u32(&bytes[32..]),
            l1_entries: BE::read_u32(&bytes[36..]),
            l1_offset: BE::read_u64(&bytes[40..]),
            refcount_table_offset: BE::read_u64(&bytes[48..]),
            refcount_table_clusters: BE::read_u32(&bytes[56..]),
            snapshot_count: BE::read_u32(&bytes[60..]),
            snapshots_offset: BE::read_u64(&bytes[64..]),
            refcount_order: 4,
            ..Header::default()
        };
        let mut length = V2_LENGTH;
        if BE::read_u32(&bytes[4..]) == 3 {
            header.version = Version::V3;
            check_end("the header", V3_MIN_LENGTH as u64, bytes.len() as u64)?;
            header.incompatible_features = BE::read_u64(&bytes[72..]);
            header.compatible_features = BE::read_u64(&bytes[80..]);
            header.autoclear_features = BE::read_u64(&bytes[88..]);
            header.refcount_order = BE::read_u32(&bytes[96..]);
            if header.refcount_order > 6 {
                return corrupt("refcount_order", header.refcount_order);
            }
            let stated = BE::read_u32(&bytes[100..]);
            length = stated as usize;
            if length < V3_MIN_LENGTH || length as u64 > header.cluster_size() {
                return corrupt("header_length", stated);
            }
            check_end("the header", length as u64, bytes.len() as u64)?;
            if length > V3_MIN_LENGTH {
                header.compression = bytes[V3_MIN_LENGTH];
            }
        }
        header.check_values()?;
        let name_offset = BE::read_u64(&bytes[8..]);
        // Up to the end of the first cluster, or to the name of the backing file.
        let mut extensions_end = bytes.len();
        let mut missing = header.cluster_size().saturating_sub(bytes.len() as u64);
        if name_offset != 0 {
            let name_length = BE::read_u32(&bytes[16..]);
            if name_offset < length as u64 || name_offset > header.cluster_size() {
                return corrupt("backing_file_offset", name_offset);
            }
            let end = name_offset + u64::from(name_length);
            if name_length as usize > MAX_BACKING_NAME || end > header.cluster_size() {
                return corrupt("backing_file_size", name_length);
            }
            check_end("the backing file's name", end, bytes.len() as u64)?;
            extensions_end = name_offset as usize;
            missing = 0;
            let name = up_to_nul(&bytes[extensions_end..end as usize]);
            header.backing_name = (!name.is_empty()).then(|| name.to_vec());
        }
        header.extensions = extension::parse(bytes, length..extensions_end, missing)?;
        match header.incompatible_features & !Self::KNOWN_FEATURES {
            0 => check_extensions(&header).map(|()| header),
            unknown => {
                let bit = unknown.trailing_zeros();
                let table = header.extension(Extension::FEATURE_NAMES);
                let name = table.and_then(|table| extension::feature_name(table, bit));
                Err(FormatError::UnknownFeature { bit, name })
            }
        }
    }
}

/// Checks the fields that everything else depends on, and returns `cluster_bits`.
fn check_start(bytes: &[u8]) -> Result<u32, FormatError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(FormatError::NotQcow2);
    }
    check_end("the header", V2_LENGTH as u64, bytes.len() as u64)?;
    let version = BE::read_u32(&bytes[4..]);
    if !(2..=3).contains(&version) {
        return corrupt("version", version);
    }
    let cluster_bits = BE::read_u32(&bytes[20..]);
    if !(9..=21).contains(&cluster_bits) {
        return corrupt("cluster_bits", cluster_bits);
    }
    Ok(cluster_bits)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::format::image_format::Format;
    use crate::format::layout::Layout;
    use crate::format::options::Options;

    fn image() -> Vec<u8> {
        let options = Options::new(1 << 30).backing("node.img", Some(Format::Raw));
        let layout = Layout::new(&options).expect("a layout");
        let mut bytes = layout.header().encode();
        bytes.resize(65536, 0);
        bytes
    }

    #[test]
    fn unknown_extensions_are_kept() {
        let mut header = Header::parse(&image()).expect("a header");
        let data = b"what a later version wrote".to_vec();
        header.extensions.push(Extension {
            kind: 0x1234_5678,
            data,
        });
        assert_eq!(Header::parse(&header.encode()), Ok(header));
    }

    #[test]
    fn a_changed_byte_does_not_make_parsing_panic() {
        let good = image();
        for offset in 0..600 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[offset] = value;
                let _ = Header::parse(&bytes);
                let _ = Header::parse(&bytes[..offset]);
            }
        }
    }

    #[test]
    fn the_error_of_an_unknown_feature_has_its_recorded_name() {
        let mut header = Header::parse(&image()).expect("a header");
        header.incompatible_features = 1 << 63 | Header::DIRTY;
        let unknown = |name| FormatError::UnknownFeature { bit: 63, name };
        assert_eq!(Header::parse(&header.encode()), Err(unknown(None)));
        let table = header.extensions.last_mut().expect("the feature names");
        // A compatible feature with the same bit, then the incompatible one.
        for (entry, start) in [(0, b"\x01\x3fother"), (48, b"\x00\x3fnewer")] {
            table.data[entry..entry + 48].fill(0);
            table.data[entry..entry + 7].copy_from_slice(start);
        }
        let named = unknown(Some("newer".to_owned()));
        assert_eq!(Header::parse(&header.encode()), Err(named));
    }

    #[test]
    fn an_unknown_encryption_or_a_mismatched_compression_is_corrupt() {
        for (offset, value, field) in [
            (35, 3, "crypt_method"),
            (79, 8, "compression_type"),
            (104, 1, "compression_type"),
        ] {
            let mut bytes = image();
            bytes[offset] = value;
            match Header::parse(&bytes) {
                Err(FormatError::Corrupt { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn subclusters_smaller_than_a_sector_are_corrupt() {
        let options = Options::new(1 << 30).cluster_size(16384).extended_l2(true);
        let layout = Layout::new(&options).expect("a layout");
        let mut bytes = layout.header().encode();
        assert!(Header::parse(&bytes).is_ok());
        bytes[23] = 13;
        let field = "cluster_bits with extended L2 entries";
        let corrupt = Err(FormatError::Corrupt { field, value: 13 });
        assert_eq!(Header::parse(&bytes), corrupt);
    }

    #[test]
    fn lengths_beyond_the_first_cluster_are_corrupt() {
        for (offset, field) in [
            (8, "backing_file_offset"),
            (16, "backing_file_size"),
            (36, "l1_size"),
            (100, "header_length"),
            (116, "header extension length"),
        ] {
            let mut bytes = image();
            bytes[offset] = 0xff;
            match Header::parse(&bytes) {
                Err(FormatError::Corrupt { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    /// QEMU reads zeros there.
    #[test]
    fn an_extension_that_the_end_of_the_file_cuts_off_is_truncated() {
        let cut = |length: u32| {
            let mut bytes = image();
            bytes[8..20].fill(0);
            bytes[112..116].copy_from_slice(b"test");
            bytes[116..120].copy_from_slice(&length.to_be_bytes());
            Header::parse(&bytes[..136])
        };
        let (what, end, length) = ("a header extension", 137, 136);
        let truncated = FormatError::Truncated { what, end, length };
        assert_eq!(cut(17), Err(truncated));
        assert!(matches!(
            cut(65536 - 120),
            Err(FormatError::Truncated { .. })
        ));
        assert!(matches!(cut(65536 - 119), Err(FormatError::Corrupt { .. })));
        assert!(cut(16).is_ok());
    }

    #[test]
    fn reading_stops_at_the_end_of_the_first_cluster() {
        struct Endless(usize);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let image = image();
                for byte in buffer.iter_mut() {
                    *byte = image.get(self.0).copied().unwrap_or(0xff);
                    self.0 += 1;
                }
                Ok(buffer.len())
            }
        }
        let mut reader = Endless(0);
        Header::read(&mut reader).expect("a header");
        assert_eq!(reader.0, 65536);
    }
}
