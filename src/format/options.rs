//! The options of a new image.

use crate::format::compression::compression_type::CompressionType;
use crate::format::header::file_state::FileState;
use crate::format::header::{Header, Version};
use crate::format::image_format::Format;
use crate::format::size::SECTOR;

/// The backing file of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backing {
    pub name: Vec<u8>,
    pub format: Option<Format>,
}

/// The options of an image: a builder that starts from QEMU's defaults.
///
/// The builder does not check the options; [`Layout::new`](crate::Layout::new) does.
///
/// ```
/// use qcow2_overlay::{Format, Options, Version};
/// let options = Options::new(10 << 30)
///     .backing("../images/node.img", Some(Format::Raw))
///     .version(Version::V2)
///     .cluster_size(4096);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(crate) virtual_size: Option<u64>,
    pub(crate) backing: Option<Backing>,
    pub(crate) version: Version,
    pub(crate) cluster_size: u64,
    pub(crate) refcount_bits: u64,
    pub(crate) lazy_refcounts: bool,
    pub(crate) extended_l2: bool,
    pub(crate) compression_type: CompressionType,
    pub(crate) states: Vec<FileState>,
}

impl Options {
    /// Returns the options of a blank version 3 image of `virtual_size` bytes (rounded up
    /// to 512) with clusters of 64 KiB and refcounts of 16 bits.
    pub fn new(virtual_size: u64) -> Self {
        Self::default().virtual_size(virtual_size)
    }

    /// Returns the options with which an image with this header can be created, without its
    /// backing file and the record of that. As in QEMU, the size is rounded down to a whole
    /// sector.
    pub fn like(header: &Header) -> Self {
        Options {
            virtual_size: Some(header.virtual_size / SECTOR * SECTOR),
            backing: None,
            version: header.version,
            cluster_size: header.cluster_size(),
            refcount_bits: header.refcount_bits(),
            lazy_refcounts: header.has_lazy_refcounts(),
            extended_l2: header.has_extended_l2(),
            // Nothing is compressed yet, and any reader knows zlib.
            compression_type: CompressionType::Zlib,
            states: Vec::new(),
        }
    }

    /// Makes the image an overlay of the file called `name`, which is stored unchanged. The
    /// name has at most 1023 bytes, and no more than the first cluster has room for. QEMU
    /// resolves a relative name against the directory of the overlay.
    ///
    /// The format is recorded so that QEMU need not guess: without it, QEMU opens a raw base
    /// as qcow2 if the guest wrote a qcow2 header into its first sector.
    pub fn backing(mut self, name: impl Into<Vec<u8>>, format: Option<Format>) -> Self {
        let name = name.into();
        self.backing = Some(Backing { name, format });
        self
    }

    /// Sets the size of the disk in bytes, which is rounded up to 512.
    pub fn virtual_size(mut self, bytes: u64) -> Self {
        self.virtual_size = Some(bytes);
        self
    }

    /// Records the states of the files that back the image, the nearest first. Times differ
    /// from build to build, so an image that a build makes should not have this record. It is
    /// left out if the image has no backing file, or if the first cluster has no room for it.
    pub fn backing_file_states(mut self, states: impl Into<Vec<FileState>>) -> Self {
        self.states = states.into();
        self
    }

    /// Sets the version of the format; default 3.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Sets the size of a cluster in bytes: a power of two from 512 to 2097152; default 65536.
    pub fn cluster_size(mut self, bytes: u64) -> Self {
        self.cluster_size = bytes;
        self
    }

    /// Sets the width of a refcount: 1, 2, 4, 8, 16, 32 or 64 bits; default 16, the only
    /// width in version 2.
    pub fn refcount_bits(mut self, bits: u64) -> Self {
        self.refcount_bits = bits;
        self
    }

    /// Lets writers postpone refcount updates; version 3 only; default off.
    pub fn lazy_refcounts(mut self, on: bool) -> Self {
        self.lazy_refcounts = on;
        self
    }

    /// Splits each cluster into 32 subclusters with their own allocation state;
    /// version 3 and clusters of 16 KiB and more only; default off.
    pub fn extended_l2(mut self, on: bool) -> Self {
        self.extended_l2 = on;
        self
    }

    /// Sets how clusters will be compressed, if any are; zstd in version 3 only; default zlib.
    pub fn compression_type(mut self, compression_type: CompressionType) -> Self {
        self.compression_type = compression_type;
        self
    }
}

/// The options of [`Options::new`] without a size: a conversion takes that of its source, and a
/// blank image has none.
impl Default for Options {
    fn default() -> Self {
        Options {
            virtual_size: None,
            backing: None,
            version: Version::V3,
            cluster_size: 64 << 10,
            refcount_bits: 16,
            lazy_refcounts: false,
            extended_l2: false,
            compression_type: CompressionType::Zlib,
            states: Vec::new(),
        }
    }
}
