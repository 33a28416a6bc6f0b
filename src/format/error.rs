//! The error of everything that reads or writes images.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::format::format_error::FormatError;
use crate::format::name::quoted;

/// The result of an operation on images.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on images failed: what happened, at which file, and with which value.
///
/// [`Display`](fmt::Display) gives one line about this error. With `{:#}` the line has its
/// [sources](std::error::Error::source) too, as anyhow prints them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An error of the file system.
    Io(io::Error),
    /// An image, or what is asked for, is wrong.
    Format(FormatError),
    /// An error at an image that backs the one that was asked for.
    InImage {
        /// The path of the image.
        path: PathBuf,
        /// What happened there.
        source: Box<Error>,
    },
    /// An error at the backing file of an image.
    InBackingFile {
        /// The path of the backing file, as resolved.
        path: PathBuf,
        /// What happened there.
        source: Box<Error>,
    },
    /// An error at this path.
    At {
        /// The path.
        path: PathBuf,
        /// What happened there.
        source: Box<Error>,
    },
    /// An error at the backing file of a new image.
    InBase(Box<Error>),
    /// The path is that of a directory.
    Directory,
    /// The path is that of neither a file nor a block device.
    SpecialFile,
    /// The system does not tell the size of this block device.
    NoSize,
    /// A file has the name of the new one.
    Exists,
    /// The file that is to be replaced must not be: `what` says why.
    NotReplaceable {
        /// What it is, such as `it exists and is write-protected`.
        what: &'static str,
    },
    /// The images of a chain are fewer than one.
    EmptyChain,
    /// This image is backed by itself.
    Loop(PathBuf),
    /// The header records this format of the backing file, which is neither raw nor qcow2.
    BackingFormat(Vec<u8>),
    /// A running QEMU may write to this image.
    OpenForWriting(PathBuf),
    /// A backing file has changed since a disk recorded it.
    BackingFileChanged {
        /// The disk with the record.
        disk: PathBuf,
        /// The backing file.
        path: PathBuf,
        /// What differs.
        change: String,
    },
    /// The record of the backing files of a disk cannot be read.
    RecordUnreadable {
        /// The disk with the record.
        disk: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
    /// An overlay is smaller than its backing file, and has no data of its own.
    SmallerThanBackingFile {
        /// Size of the overlay in bytes.
        size: u64,
        /// The path of the backing file.
        path: PathBuf,
        /// Size of the backing file in bytes.
        least: u64,
    },
    /// The new disk would be smaller than the source or the backing file.
    TooSmall {
        /// What has the size: `the size asked for` or `the size of the source`.
        what: &'static str,
        /// That size in bytes.
        size: u64,
        /// What is larger: `the source` or `the backing file`.
        than: &'static str,
        /// Its size in bytes.
        least: u64,
    },
    /// The stream has more bytes than the disk.
    StreamTooLong {
        /// Size of the disk in bytes.
        size: u64,
    },
    /// The offset is beyond the end of the disk.
    BeyondEnd {
        /// The offset in bytes.
        offset: u64,
        /// Size of the disk in bytes.
        size: u64,
    },
    /// This image was changed while it was read.
    Changed(PathBuf),
    /// This image was replaced by another file while it was read.
    Replaced(PathBuf),
    /// The file became shorter while it was read.
    CutOff,
    /// The backing file is another one by its real path.
    OtherByRealPath {
        /// The path as given.
        given: PathBuf,
        /// The real path of the first image.
        start: PathBuf,
        /// The file that is found from there.
        found: PathBuf,
    },
    /// A thread has panicked.
    Panicked,
}

impl Error {
    /// Adds the path of an image to an error, unless it is the topmost image of its chain.
    pub(crate) fn in_image(index: usize, path: &Path, source: Error) -> Self {
        if index == 0 {
            return source;
        }
        Error::InImage {
            path: path.to_owned(),
            source: Box::new(source),
        }
    }

    pub(crate) fn at(path: &Path, source: impl Into<Error>) -> Self {
        Error::At {
            path: path.to_owned(),
            source: Box::new(source.into()),
        }
    }

    pub(crate) fn in_backing_file(path: &Path, source: Error) -> Self {
        Error::InBackingFile {
            path: path.to_owned(),
            source: Box::new(source),
        }
    }

    /// Returns what happened, without the images at which it did.
    pub fn innermost(&self) -> &Error {
        match self {
            Error::InImage { source, .. }
            | Error::InBackingFile { source, .. }
            | Error::At { source, .. }
            | Error::InBase(source) => source.innermost(),
            other => other,
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => error.source(),
            Error::InImage { source, .. }
            | Error::InBackingFile { source, .. }
            | Error::At { source, .. }
            | Error::InBase(source) => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

impl From<FormatError> for Error {
    fn from(error: FormatError) -> Self {
        Error::Format(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_alone(f)?;
        match std::error::Error::source(self) {
            Some(source) if f.alternate() => write!(f, ": {source:#}"),
            _ => Ok(()),
        }
    }
}

impl Error {
    fn fmt_alone(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => write!(f, "{error}"),
            Error::Format(error) => write!(f, "{error}"),
            Error::InImage { path, .. } => write!(f, "in {path:?}"),
            Error::InBackingFile { path, .. } => write!(f, "its backing file {path:?}"),
            Error::At { path, .. } => write!(f, "{path:?}"),
            Error::InBase(_) => write!(f, "in the backing file"),
            Error::Directory => write!(f, "it is a directory, not an image file"),
            Error::SpecialFile => write!(f, "it is neither a file nor a block device"),
            Error::NoSize => write!(f, "it is a block device whose size is not known"),
            Error::Exists => write!(f, "it exists"),
            Error::NotReplaceable { what } => f.write_str(what),
            Error::EmptyChain => write!(f, "the chain is empty"),
            Error::Loop(path) => write!(
                f,
                "the backing chain is a loop: {} is backed by itself",
                quoted(path.as_os_str().as_encoded_bytes())
            ),
            Error::BackingFormat(name) => write!(
                f,
                "its backing file has the recorded format {}, and only raw and qcow2 are read here",
                quoted(name)
            ),
            Error::OpenForWriting(path) => {
                write!(f, "a running QEMU has {path:?} open for writing")
            }
            Error::BackingFileChanged { disk, path, change } => write!(
                f,
                "its base {path:?} has changed since {disk:?} was written ({change}), so the disk \
                 may not match it"
            ),
            Error::RecordUnreadable { disk, source } => {
                write!(f, "{source} in {disk:?}, so its base may have changed")
            }
            Error::SmallerThanBackingFile { size, path, least } => write!(
                f,
                "its size of {size} bytes cuts off the end of its backing file {path:?}, of \
                 {least} bytes"
            ),
            Error::TooSmall {
                what,
                size,
                than,
                least,
            } => write!(
                f,
                "{what} is {size} bytes, less than the {least} bytes of {than}, whose end would \
                 be cut off"
            ),
            Error::StreamTooLong { size } => {
                write!(f, "it has more than {size} bytes, the size of the disk")
            }
            Error::BeyondEnd { offset, size } => write!(
                f,
                "byte {offset} is beyond the end of the disk, which has {size} bytes"
            ),
            Error::Changed(path) => write!(f, "{path:?} was changed while it was read"),
            Error::Replaced(path) => write!(f, "{path:?} was replaced while it was read"),
            Error::CutOff => write!(f, "it was cut off while it was read"),
            Error::OtherByRealPath {
                given,
                start,
                found,
            } => write!(
                f,
                "its base is {given:?} by the path given, but {found:?} by its real path \
                 {start:?}; symbolic links must not separate an overlay from its base"
            ),
            Error::Panicked => write!(f, "a thread has panicked"),
        }
    }
}
