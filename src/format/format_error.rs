//! What can be wrong with an image, or with what is asked for.

use std::fmt;

use crate::format::name::quoted;
use crate::format::other_file::OtherFile;

/// What is wrong with an image, or with what is asked for. [`Display`](fmt::Display) gives one
/// line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// Not a size in the grammar of [`parse_size`](crate::parse_size).
    InvalidSize(String),
    /// A size in the grammar of [`parse_size`](crate::parse_size) that no disk can have.
    HugeSize(String),
    /// Not an option of [`OptionList`](crate::OptionList), or an invalid value of one.
    InvalidOption {
        /// The option's name, as it was given.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Not a power of two from 512 to 2097152.
    InvalidClusterSize(u64),
    /// Not a power of two from 1 to 64.
    InvalidRefcountBits(u64),
    /// An option that the other options do not allow.
    OptionConflict {
        /// The option, such as `extended_l2=on`.
        option: String,
        /// What it needs, such as `cluster_size of at least 16K`.
        needs: &'static str,
    },
    /// The L1 table, of at most 32 MiB, cannot map a disk of this size.
    SizeTooLarge {
        /// The size asked for, in bytes.
        size: u64,
        /// The largest size these options allow, in bytes.
        limit: u64,
        /// The smallest cluster size that would allow it, if any does.
        fitting_cluster_size: Option<u64>,
    },
    /// The image would need a refcount table of more than 8 MiB.
    RefcountTableTooLarge {
        /// Clusters in the whole file.
        clusters: u64,
    },
    /// The backing file's name is empty.
    EmptyBackingName,
    /// The backing file's name contains a NUL byte, so no file can have it.
    NulInBackingName,
    /// The backing file's name is longer than the format or the cluster allows.
    BackingNameTooLong {
        /// Its length in bytes.
        length: usize,
        /// The longest one these options allow, in bytes.
        limit: usize,
        /// The smallest cluster size that would allow it, if any does.
        fitting_cluster_size: Option<u64>,
    },
    /// QEMU would take the name for a new image's backing file for the address of a protocol.
    BackingNameIsProtocol(Vec<u8>),
    /// The name of an image's backing file is the address of a protocol.
    BackingFileIsNoFile(Vec<u8>),
    /// The file is an image of an unsupported format.
    ForeignFormat(&'static str),
    /// The file is no disk image, and no format was given for it.
    OtherFile(OtherFile),
    /// The file does not begin with a qcow2 header.
    NotQcow2,
    /// The file should be raw, but begins with a qcow2 header.
    NotRaw,
    /// The file ends before something it refers to.
    Truncated {
        /// What is missing, such as `the L1 table`.
        what: &'static str,
        /// Where it would end, in bytes.
        end: u64,
        /// Where the file ends, in bytes.
        length: u64,
    },
    /// The image has an incompatible feature that is not in the specification (yet), so the
    /// meaning of its content is unknown.
    UnknownFeature {
        /// Its bit, 5 to 63.
        bit: u32,
        /// Its name, if the image records it.
        name: Option<String>,
    },
    /// The data is encrypted, by `aes` or `luks`.
    Encrypted(&'static str),
    /// The data is in the external data file of this name, which can be empty.
    ExternalData(Vec<u8>),
    /// A field has a value that the specification does not allow or QEMU refuses.
    Corrupt {
        /// The name of the field in the specification, or a description.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The data of a compressed cluster does not decompress to a whole cluster.
    CompressedCluster {
        /// The cluster's guest offset, in bytes.
        guest: u64,
    },
}

impl std::error::Error for FormatError {}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::InvalidSize(text) if text.trim_start().starts_with(['+', '-']) => {
                write!(
                    f,
                    "invalid size {text:?}: give the whole size, without a sign"
                )
            }
            FormatError::InvalidSize(text) => write!(
                f,
                "invalid size {text:?}: give bytes, or a number with one of the suffixes \
                 K, M, G, T, P, E"
            ),
            FormatError::HugeSize(text) => {
                write!(f, "invalid size {text:?}: the largest disk has 2E")
            }
            FormatError::InvalidOption { name, problem } => write!(f, "-o {name:?}: {problem}"),
            FormatError::InvalidClusterSize(bytes) => write!(
                f,
                "invalid cluster_size {bytes}: it is a power of two from 512 to 2M"
            ),
            FormatError::InvalidRefcountBits(bits) => write!(
                f,
                "invalid refcount_bits {bits}: it is 1, 2, 4, 8, 16, 32 or 64"
            ),
            FormatError::OptionConflict { option, needs } => write!(f, "{option} needs {needs}"),
            FormatError::SizeTooLarge {
                size,
                limit,
                fitting_cluster_size,
            } => {
                write!(f, "size of {size} bytes is over the limit of {limit} bytes")?;
                match fitting_cluster_size {
                    Some(bytes) => write!(f, "; cluster_size={bytes} would allow it"),
                    None => write!(f, "; no cluster_size would allow it"),
                }
            }
            FormatError::RefcountTableTooLarge { clusters } => write!(
                f,
                "the image has {clusters} clusters, more than a refcount table can count: \
                 a larger cluster_size or fewer refcount_bits would allow it"
            ),
            FormatError::EmptyBackingName => write!(f, "the name of the backing file is empty"),
            FormatError::NulInBackingName => {
                write!(f, "the name of the backing file has a NUL byte")
            }
            FormatError::BackingNameTooLong {
                length,
                limit,
                fitting_cluster_size,
            } => {
                write!(
                    f,
                    "the name of the backing file has {length} bytes, the limit here is {limit}"
                )?;
                match fitting_cluster_size {
                    Some(bytes) => write!(f, "; cluster_size={bytes} would allow it"),
                    None => Ok(()),
                }
            }
            FormatError::BackingNameIsProtocol(name) => write!(
                f,
                "QEMU would take the backing file {} for a protocol's address",
                quoted(name)
            ),
            FormatError::BackingFileIsNoFile(name) => write!(
                f,
                "its backing file {} is the address of a protocol, and only files are opened here",
                quoted(name)
            ),
            FormatError::ForeignFormat(format) => write!(f, "it is a {format} image"),
            FormatError::OtherFile(found) => found.fmt(f),
            FormatError::NotQcow2 => write!(f, "it is not a qcow2 image"),
            FormatError::NotRaw => write!(f, "it is a qcow2 image, not a raw one"),
            FormatError::Truncated { what, end, length } => write!(
                f,
                "truncated qcow2 image: {what} ends at byte {end}, the file at byte {length}"
            ),
            FormatError::UnknownFeature { bit, name } => {
                write!(
                    f,
                    "the qcow2 image needs a feature that this tool does not support: bit {bit}"
                )?;
                match name {
                    Some(name) => write!(f, ", {name:?}"),
                    None => Ok(()),
                }
            }
            FormatError::Encrypted(format) => write!(
                f,
                "its data is encrypted ({format}) and cannot be read here"
            ),
            FormatError::ExternalData(name) => write!(
                f,
                "its data is in another file, {}, and cannot be read here",
                quoted(name)
            ),
            FormatError::Corrupt { field, value } => {
                write!(f, "corrupt qcow2 image: {field} is {value} ({value:#x})")
            }
            FormatError::CompressedCluster { guest } => write!(
                f,
                "corrupt qcow2 image: the compressed cluster at guest offset {guest} ({guest:#x}) \
                 is damaged"
            ),
        }
    }
}

/// Returns [`FormatError::Truncated`] unless `end`, where `what` ends, is within a file of `length`
/// bytes.
pub(crate) fn check_end(what: &'static str, end: u64, length: u64) -> Result<(), FormatError> {
    if end > length {
        Err(FormatError::Truncated { what, end, length })
    } else {
        Ok(())
    }
}

/// Returns [`FormatError::Corrupt`].
pub(crate) fn corrupt<T>(field: &'static str, value: impl Into<u64>) -> Result<T, FormatError> {
    Err(FormatError::Corrupt {
        field,
        value: value.into(),
    })
}

/// Returns [`FormatError::Corrupt`] unless the value `is_good`.
pub(crate) fn require(
    is_good: bool,
    field: &'static str,
    value: impl Into<u64>,
) -> Result<(), FormatError> {
    if is_good {
        Ok(())
    } else {
        corrupt(field, value)
    }
}
