//! The header of a qcow2 image: its bytes and their meaning.

use std::io::{self, Read};

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::extension;
use crate::format::layout::{bytes_mapped_by_l2_table, MAX_BACKING_NAME, MAX_L1_ENTRIES};
use crate::format::name::up_to_nul;
use crate::format::snapshots::MAX_SNAPSHOTS;
use crate::format::stamp;
use crate::{Error, Extension, Stamp, Version};

const MAGIC: [u8; 4] = *b"QFI\xfb";
const V2_LENGTH: usize = 72;
/// The least a version 3 header may have.
const V3_MIN_LENGTH: usize = 104;
/// What we write, as QEMU does: with the compression type and its padding.
const V3_LENGTH: usize = 112;
/// QEMU's limit (`block/qcow2.h`, `QCOW_MAX_REFTABLE_SIZE`), in bytes.
const MAX_REFCOUNT_TABLE: u64 = 8 << 20;

/// The fields of the header, its extensions and the backing file's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Byte 4.
    pub version: Version,
    /// Stored behind the extensions, unchanged and without a NUL. As in QEMU, a stored
    /// name ends at its first NUL, and an empty one is none.
    pub backing_name: Option<Vec<u8>>,
    /// log2 of the cluster size in bytes, 9 to 21.
    pub cluster_bits: u32,
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// 0 none, 1 AES, 2 LUKS.
    pub encryption: u32,
    /// Entries of 8 bytes in the L1 table.
    pub l1_entries: u32,
    /// Where the L1 table starts, in bytes from the start of the file.
    pub l1_offset: u64,
    /// Where the refcount table starts, in bytes.
    pub refcount_table_offset: u64,
    /// Length of the refcount table.
    pub refcount_table_clusters: u32,
    /// Number of internal snapshots.
    pub snapshot_count: u32,
    /// Where the snapshot table starts, in bytes.
    pub snapshots_offset: u64,
    /// Features a reader must know to open the image at all.
    pub incompatible_features: u64,
    /// Features a reader may ignore.
    pub compatible_features: u64,
    /// Features a writer that does not know them must clear.
    pub autoclear_features: u64,
    /// log2 of the width of a refcount in bits, 0 to 6.
    pub refcount_order: u32,
    /// 0 zlib, 1 zstd.
    pub compression: u8,
    /// All but the end marker.
    pub extensions: Vec<Extension>,
}

impl Header {
    /// Incompatible: refcounts may be wrong, the image was not closed.
    pub const DIRTY: u64 = 1 << 0;
    /// Incompatible: QEMU found the image corrupt.
    pub const CORRUPT: u64 = 1 << 1;
    /// Incompatible: guest data is in another file.
    pub const EXTERNAL_DATA: u64 = 1 << 2;
    /// Incompatible: clusters are not compressed with deflate.
    pub const COMPRESSION_TYPE: u64 = 1 << 3;
    /// Incompatible: clusters have subclusters.
    pub const EXTENDED_L2: u64 = 1 << 4;
    /// All the incompatible features there are.
    const KNOWN_FEATURES: u64 = (1 << 5) - 1;
    /// Compatible: refcount updates may be postponed.
    pub const LAZY_REFCOUNTS: u64 = 1 << 0;
    /// Autoclear: the persistent bitmaps agree with the data.
    pub const BITMAPS: u64 = 1 << 0;
    /// Autoclear: the external data file can be read as a raw image.
    pub const RAW_EXTERNAL_DATA: u64 = 1 << 1;

    /// Bytes in a cluster.
    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// The recorded format of the backing file, up to a NUL; none if that is empty.
    pub fn backing_format(&self) -> Option<&[u8]> {
        let format = self.extension(Extension::BACKING_FORMAT).map(up_to_nul);
        format.filter(|format| !format.is_empty())
    }

    /// The name of the external data file, up to a NUL.
    pub fn data_file(&self) -> Option<&[u8]> {
        self.extension(Extension::DATA_FILE).map(up_to_nul)
    }

    /// What was recorded of the files beneath, the nearest first, if anything was.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for a record that has no meaning here.
    pub fn stamps(&self) -> Result<Option<Vec<Stamp>>, Error> {
        let record = self.extension(Extension::BASE_STAMPS);
        record.map(stamp::decode).transpose()
    }

    /// QEMU's name of how the data is encrypted, if it is.
    pub fn encryption_format(&self) -> Option<&'static str> {
        match self.encryption {
            1 => Some("aes"),
            2 => Some("luks"),
            _ => None,
        }
    }

    /// The data of the extension of type `kind`: as in QEMU, of the last one.
    pub fn extension(&self, kind: u32) -> Option<&[u8]> {
        let mut extensions = self.extensions.iter();
        extensions.rfind(|e| e.kind == kind).map(|e| &e.data[..])
    }

    /// Whether the incompatible feature with the mask `feature` is set.
    pub fn has_incompatible(&self, feature: u64) -> bool {
        self.incompatible_features & feature != 0
    }

    /// Bits in a refcount.
    pub fn refcount_bits(&self) -> u64 {
        1 << self.refcount_order
    }

    /// Whether refcount updates may be postponed.
    pub fn has_lazy_refcounts(&self) -> bool {
        self.compatible_features & Self::LAZY_REFCOUNTS != 0
    }

    /// Whether the external data file can be read as a raw image.
    pub fn has_raw_external_data(&self) -> bool {
        self.autoclear_features & Self::RAW_EXTERNAL_DATA != 0
    }

    /// Whether clusters are split into subclusters.
    pub fn has_extended_l2(&self) -> bool {
        self.has_incompatible(Self::EXTENDED_L2)
    }

    /// The header, the extensions and the backing name as they stand in the file.
    pub fn encode(&self) -> Vec<u8> {
        let length = match self.version {
            Version::V2 => V2_LENGTH,
            Version::V3 => V3_LENGTH,
        };
        let mut bytes = vec![0; length];
        bytes[..4].copy_from_slice(&MAGIC);
        BE::write_u32(&mut bytes[4..], self.version as u32);
        BE::write_u32(&mut bytes[20..], self.cluster_bits);
        BE::write_u64(&mut bytes[24..], self.virtual_size);
        BE::write_u32(&mut bytes[32..], self.encryption);
        BE::write_u32(&mut bytes[36..], self.l1_entries);
        BE::write_u64(&mut bytes[40..], self.l1_offset);
        BE::write_u64(&mut bytes[48..], self.refcount_table_offset);
        BE::write_u32(&mut bytes[56..], self.refcount_table_clusters);
        BE::write_u32(&mut bytes[60..], self.snapshot_count);
        BE::write_u64(&mut bytes[64..], self.snapshots_offset);
        if self.version == Version::V3 {
            BE::write_u64(&mut bytes[72..], self.incompatible_features);
            BE::write_u64(&mut bytes[80..], self.compatible_features);
            BE::write_u64(&mut bytes[88..], self.autoclear_features);
            BE::write_u32(&mut bytes[96..], self.refcount_order);
            BE::write_u32(&mut bytes[100..], length as u32);
            bytes[104] = self.compression;
        }
        // A plain version 2 header needs no end marker: readers look for extensions
        // only in front of the backing name.
        if self.version == Version::V3 || !self.extensions.is_empty() {
            extension::encode(&self.extensions, &mut bytes);
        }
        if let Some(name) = &self.backing_name {
            let offset = bytes.len();
            BE::write_u64(&mut bytes[8..], offset as u64);
            BE::write_u32(&mut bytes[16..], name.len() as u32);
            bytes.extend(name);
        }
        bytes
    }

    /// Reads the header cluster, and no more, from the start of an image.
    ///
    /// # Errors
    ///
    /// Those of `reader`, and of [`Header::parse`] wrapped in an [`io::Error`].
    pub fn read(reader: &mut impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        reader.take(V2_LENGTH as u64).read_to_end(&mut bytes)?;
        let cluster_size = 1 << check_start(&bytes)?;
        bytes.reserve(cluster_size as usize); // so that it is read at once
        reader
            .take(cluster_size - bytes.len() as u64)
            .read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes)?)
    }

    /// Reads a header from `bytes`, the first cluster of an image (less where the
    /// file is shorter).
    ///
    /// # Errors
    ///
    /// [`Error::NotQcow2`], [`Error::Truncated`], [`Error::UnknownFeature`], and
    /// [`Error::Corrupt`] for values that the specification rules out or QEMU refuses
    /// (`block/qcow2.c`, `qcow2_do_open`). That is more than QEMU refuses: to it what
    /// lies behind the end of the file is zeros, so that an image that is cut off can
    /// read as an empty one; and it takes a backing name inside the header.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
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
        let mut extensions_end = bytes.len();
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
            let name = up_to_nul(&bytes[extensions_end..end as usize]);
            header.backing_name = (!name.is_empty()).then(|| name.to_vec());
        }
        // Where the file ends before the cluster does, zeros would follow, which are an end.
        let is_whole = name_offset != 0 || bytes.len() as u64 == header.cluster_size();
        header.extensions = extension::parse(&bytes[length..extensions_end], is_whole)?;
        match header.incompatible_features & !Self::KNOWN_FEATURES {
            0 => extension::check(&header).map(|()| header),
            unknown => {
                let bit = unknown.trailing_zeros();
                let table = header.extension(Extension::FEATURE_NAMES);
                let name = table.and_then(|table| extension::feature_name(table, bit));
                Err(Error::UnknownFeature { bit, name })
            }
        }
    }

    fn check_values(&self) -> Result<(), Error> {
        if self.encryption > 2 {
            return corrupt("crypt_method", self.encryption);
        }
        let is_typed = self.has_incompatible(Self::COMPRESSION_TYPE);
        if is_typed != (self.compression != 0) || self.compression > 1 {
            return corrupt("compression_type", self.compression);
        }
        let entries = u64::from(self.l1_entries);
        let bytes_per_l2 = bytes_mapped_by_l2_table(self.cluster_size(), self.has_extended_l2());
        if entries > MAX_L1_ENTRIES || self.virtual_size.div_ceil(bytes_per_l2) > entries {
            return corrupt("l1_size", self.l1_entries);
        }
        let cluster_size = self.cluster_size();
        let clusters = self.refcount_table_clusters;
        if clusters == 0 || u64::from(clusters) * cluster_size > MAX_REFCOUNT_TABLE {
            return corrupt("refcount_table_clusters", clusters);
        }
        if self.snapshot_count > MAX_SNAPSHOTS {
            return corrupt("nb_snapshots", self.snapshot_count);
        }
        if self.has_raw_external_data() && !self.has_incompatible(Self::EXTERNAL_DATA) {
            // Which qemu-img info does not notice, but a virtual machine does.
            return corrupt("autoclear_features", self.autoclear_features);
        }
        for (field, offset) in [
            ("l1_table_offset", self.l1_offset),
            ("refcount_table_offset", self.refcount_table_offset),
            ("snapshots_offset", self.snapshots_offset),
        ] {
            // A table has 64 MiB at most, and QEMU's offsets are signed.
            if offset % cluster_size != 0 || offset > i64::MAX as u64 - (64 << 20) {
                return corrupt(field, offset);
            }
        }
        Ok(())
    }

    /// Checks that a file of `length` bytes holds the L1 and the refcount table.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] if it does not.
    pub fn check_file_length(&self, length: u64) -> Result<(), Error> {
        let l1_bytes = 8 * u64::from(self.l1_entries);
        let table_bytes = u64::from(self.refcount_table_clusters) << self.cluster_bits;
        for (what, start, bytes) in [
            ("the L1 table", self.l1_offset, l1_bytes),
            (
                "the refcount table",
                self.refcount_table_offset,
                table_bytes,
            ),
        ] {
            check_end(what, start.saturating_add(bytes), length)?;
        }
        Ok(())
    }
}

/// Checks what everything else depends on; returns the cluster bits.
fn check_start(bytes: &[u8]) -> Result<u32, Error> {
    if !bytes.starts_with(&MAGIC) {
        return Err(Error::NotQcow2);
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

pub(crate) fn check_end(what: &'static str, end: u64, length: u64) -> Result<(), Error> {
    match end > length {
        true => Err(Error::Truncated { what, end, length }),
        false => Ok(()),
    }
}

pub(crate) fn corrupt<T>(field: &'static str, value: impl Into<u64>) -> Result<T, Error> {
    Err(Error::Corrupt {
        field,
        value: value.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Layout, Options};

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
    fn no_change_of_one_byte_makes_parsing_panic() {
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
    fn an_image_with_an_unknown_feature_is_refused_by_its_name() {
        let mut header = Header::parse(&image()).expect("a header");
        header.incompatible_features = 1 << 63 | Header::DIRTY;
        let unknown = |name| Error::UnknownFeature { bit: 63, name };
        assert_eq!(Header::parse(&header.encode()), Err(unknown(None)));
        let table = header.extensions.last_mut().expect("the feature names");
        // The same bit of a compatible feature, then the one that counts.
        for (entry, start) in [(0, b"\x01\x3fother"), (48, b"\x00\x3fnewer")] {
            table.data[entry..entry + 48].fill(0);
            table.data[entry..entry + 7].copy_from_slice(start);
        }
        let named = unknown(Some("newer".to_owned()));
        assert_eq!(Header::parse(&header.encode()), Err(named));
    }

    #[test]
    fn values_that_exclude_each_other_are_corrupt() {
        for (offset, value, field) in [
            (35, 3, "crypt_method"),
            (79, 8, "compression_type"),
            (104, 1, "compression_type"),
        ] {
            let mut bytes = image();
            bytes[offset] = value;
            match Header::parse(&bytes) {
                Err(Error::Corrupt { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
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
                Err(Error::Corrupt { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
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
