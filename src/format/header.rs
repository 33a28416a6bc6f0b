//! The header of a qcow2 image: its bytes and their meaning.

pub mod check;
pub mod extension;
pub mod file_state;
pub mod luks;
pub mod new_header;
pub mod parse;

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::format_error::FormatError;
use crate::format::header::extension::Extension;
use crate::format::header::file_state::FileState;
use crate::format::name::up_to_nul;

pub(crate) const MAGIC: [u8; 4] = *b"QFI\xfb";
pub(crate) const V2_LENGTH: usize = 72;
/// The minimum length of a version 3 header, in bytes.
pub(crate) const V3_MIN_LENGTH: usize = 104;
/// The length we write, as QEMU does: with the compression type and its padding.
const V3_LENGTH: usize = 112;

/// The version of the format, stored at byte 4 of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// `compat=0.10`: for readers older than QEMU 1.1. A guest's discard leaves stale
    /// data in an overlay of this version.
    V2 = 2,
    /// `compat=1.1`.
    #[default]
    V3 = 3,
}

/// The fields of the header, its extensions and the name of the backing file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The version of the format.
    pub version: Version,
    /// The name of the backing file, stored after the extensions, unchanged and without a
    /// NUL. As in QEMU, a stored name ends at its first NUL, and an image whose stored name
    /// is empty has no backing file.
    pub backing_name: Option<Vec<u8>>,
    /// log2 of the cluster size in bytes, 9 to 21.
    pub cluster_bits: u32,
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// Encryption method: 0 none, 1 AES, 2 LUKS.
    pub encryption: u32,
    /// Number of entries of 8 bytes in the L1 table.
    pub l1_entries: u32,
    /// Where the L1 table starts, in bytes from the start of the file.
    pub l1_offset: u64,
    /// Where the refcount table starts, in bytes.
    pub refcount_table_offset: u64,
    /// Length of the refcount table, in clusters.
    pub refcount_table_clusters: u32,
    /// Number of internal snapshots.
    pub snapshot_count: u32,
    /// Where the snapshot table starts, in bytes.
    pub snapshots_offset: u64,
    /// Features that a reader must know to open the image at all.
    pub incompatible_features: u64,
    /// Features that a reader may ignore.
    pub compatible_features: u64,
    /// Features that a writer must clear if it does not know them.
    pub autoclear_features: u64,
    /// log2 of the width of a refcount in bits, 0 to 6.
    pub refcount_order: u32,
    /// Compression type: 0 zlib, 1 zstd.
    pub compression: u8,
    /// The header extensions, without the end marker.
    pub extensions: Vec<Extension>,
}

impl Header {
    /// Incompatible: the image was not closed, so refcounts may be wrong.
    pub const DIRTY: u64 = 1 << 0;
    /// Incompatible: QEMU found the image corrupt.
    pub const CORRUPT: u64 = 1 << 1;
    /// Incompatible: guest data is in another file.
    pub const EXTERNAL_DATA: u64 = 1 << 2;
    /// Incompatible: the compression type is not zlib.
    pub const COMPRESSION_TYPE: u64 = 1 << 3;
    /// Incompatible: clusters have subclusters.
    pub const EXTENDED_L2: u64 = 1 << 4;
    /// All incompatible features of the specification.
    pub(crate) const KNOWN_FEATURES: u64 = (1 << 5) - 1;
    /// Compatible: refcount updates may be postponed.
    pub const LAZY_REFCOUNTS: u64 = 1 << 0;
    /// Autoclear: the persistent bitmaps agree with the data.
    pub const BITMAPS: u64 = 1 << 0;
    /// Autoclear: the external data file can be read as a raw image.
    pub const RAW_EXTERNAL_DATA: u64 = 1 << 1;

    /// Returns the size of a cluster in bytes.
    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Returns the recorded format of the backing file, up to the first NUL, unless it is
    /// empty.
    pub fn backing_format(&self) -> Option<&[u8]> {
        let format = self.extension(Extension::BACKING_FORMAT).map(up_to_nul);
        format.filter(|format| !format.is_empty())
    }

    /// Returns the name of the external data file, up to the first NUL.
    pub fn data_file(&self) -> Option<&[u8]> {
        self.extension(Extension::DATA_FILE).map(up_to_nul)
    }

    /// Returns the record of the files that back the image, the nearest first, if there is
    /// one.
    ///
    /// # Errors
    ///
    /// [`FormatError::Corrupt`] if the record cannot be understood.
    pub fn backing_file_states(&self) -> Result<Option<Vec<FileState>>, FormatError> {
        let record = self.extension(Extension::BACKING_FILE_STATES);
        record.map(file_state::decode).transpose()
    }

    /// Returns QEMU's name of the encryption method, if the data is encrypted.
    pub fn encryption_format(&self) -> Option<&'static str> {
        match self.encryption {
            1 => Some("aes"),
            2 => Some("luks"),
            _ => None,
        }
    }

    /// Returns the data of the extension of type `kind`. If there are several, the last one
    /// counts, as in QEMU.
    pub fn extension(&self, kind: u32) -> Option<&[u8]> {
        let mut extensions = self.extensions.iter();
        extensions.rfind(|e| e.kind == kind).map(|e| &e.data[..])
    }

    /// Returns whether the incompatible feature with the mask `feature` is set.
    pub fn has_incompatible(&self, feature: u64) -> bool {
        self.incompatible_features & feature != 0
    }

    /// Returns the width of a refcount in bits.
    pub fn refcount_bits(&self) -> u64 {
        1 << self.refcount_order
    }

    /// Returns whether refcount updates may be postponed.
    pub fn has_lazy_refcounts(&self) -> bool {
        self.compatible_features & Self::LAZY_REFCOUNTS != 0
    }

    /// Returns whether the external data file can be read as a raw image.
    pub fn has_raw_external_data(&self) -> bool {
        self.autoclear_features & Self::RAW_EXTERNAL_DATA != 0
    }

    /// Returns whether clusters are split into subclusters.
    pub fn has_extended_l2(&self) -> bool {
        self.has_incompatible(Self::EXTENDED_L2)
    }

    /// Returns the header, the extensions and the backing file's name as the file stores
    /// them.
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
        // only before the backing file's name.
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
}
