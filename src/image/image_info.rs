//! The description of an image file.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::format::bitmaps::bitmap::Bitmap;
use crate::format::error::{Error, Result};
use crate::format::format_error::FormatError;
use crate::format::header::file_state::FileState;
use crate::format::header::luks;
use crate::format::header::Header;
use crate::format::image_format::Format;
use crate::format::name::backing_path;
use crate::format::size::SECTOR;
use crate::format::tables::snapshots::Snapshot;
use crate::image::lock;
use crate::image::probe::{detect, not_qcow2, open};

/// A description of an image, read without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// The path as given, or as resolved from the image above.
    pub path: PathBuf,
    /// The format as given or as recorded in the image above, else as detected.
    pub format: Format,
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// Length of the file in bytes.
    pub file_length: u64,
    /// Bytes the file takes on disk.
    pub disk_usage: u64,
    /// Whether it is a block device, and not a regular file.
    pub is_block_device: bool,
    /// The header of a qcow2 image.
    pub header: Option<Header>,
    /// The path of the backing file, if there is one and its name is a file name.
    pub backing_path: Option<PathBuf>,
    /// Device and inode, which identify the file under any name.
    identity: (u64, u64),
    /// Modification time in seconds and nanoseconds.
    modified: (i64, i64),
}

impl ImageInfo {
    /// Reads the image at `path`. Without `format`, the format is detected from the content.
    ///
    /// # Errors
    ///
    /// Fails with errors of the file system, if `path` is neither a file nor a block device, if it
    /// is a block device whose size the system does not tell, and with [`Error::Format`] for an image of another format
    /// and for a corrupt or truncated qcow2 image. An image that QEMU would not open is an
    /// error. So is a table that extends beyond the end of the file, where QEMU reads zeros.
    pub fn read(path: &Path, format: Option<Format>) -> Result<Self> {
        let mut file = open(path)?;
        let metadata = file.metadata()?;
        let file_length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let is_block_device = metadata.file_type().is_block_device();
        // On macOS, the end of every block device is at 0.
        if is_block_device && file_length == 0 {
            return Err(Error::NoSize);
        }
        let format = match format {
            Some(format) => format,
            None => detect(&mut file, path)?,
        };
        let mut info = ImageInfo {
            path: path.to_owned(),
            format,
            virtual_size: file_length.next_multiple_of(SECTOR),
            file_length,
            disk_usage: metadata.blocks() * 512,
            is_block_device,
            header: None,
            backing_path: None,
            identity: identity(&metadata),
            modified: modified(&metadata),
        };
        if format == Format::Qcow2 {
            let header = Header::read(&mut file).map_err(|error| match error {
                Error::Format(FormatError::NotQcow2) => not_qcow2(&mut file),
                error => error,
            })?;
            header.check_file_length(file_length)?;
            luks::check(&mut file, &header)?;
            Snapshot::read_all(&mut file, &header)?;
            Bitmap::read_all(&mut file, &header)?;
            info.virtual_size = header.virtual_size / SECTOR * SECTOR;
            let name = header.backing_name.as_deref();
            info.backing_path = name.and_then(|name| backing_path(path, name));
            info.header = Some(header);
        }
        Ok(info)
    }

    /// Returns the name of the driver by which QEMU opens the file.
    pub fn protocol_driver(&self) -> &'static str {
        if self.is_block_device {
            "host_device"
        } else {
            "file"
        }
    }

    /// Returns whether the image holds anything that a new image like it would lack: an
    /// allocated L2 table, an internal snapshot, encryption, an external data file. A raw
    /// image always does.
    ///
    /// # Errors
    ///
    /// Those of reading the L1 table.
    pub fn has_data(&self) -> Result<bool> {
        let Some(header) = &self.header else {
            return Ok(true);
        };
        let is_external = header.has_incompatible(Header::EXTERNAL_DATA);
        if header.snapshot_count > 0 || header.encryption_format().is_some() || is_external {
            return Ok(true);
        }
        let mut file = open(&self.path)?;
        file.seek(SeekFrom::Start(header.l1_offset))?;
        let mut left = 8 * u64::from(header.l1_entries);
        let mut buffer = [0; 64 << 10];
        while left > 0 {
            let part = &mut buffer[..left.min(64 << 10) as usize];
            file.read_exact(part)?;
            if part.iter().any(|&byte| byte != 0) {
                return Ok(true);
            }
            left -= part.len() as u64;
        }
        Ok(false)
    }

    /// Returns whether QEMU found the metadata of the image corrupt, and has written nothing to it
    /// since.
    pub fn is_marked_corrupt(&self) -> bool {
        let header = self.header.as_ref();
        header.is_some_and(|header| header.has_incompatible(Header::CORRUPT))
    }

    /// Reads the internal snapshots; a raw image has none.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::read_all`].
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        match &self.header {
            Some(header) => Snapshot::read_all(&mut open(&self.path)?, header),
            None => Ok(Vec::new()),
        }
    }

    /// Reads the persistent bitmaps; a raw image has none.
    ///
    /// # Errors
    ///
    /// Those of [`Bitmap::read_all`].
    pub fn bitmaps(&self) -> Result<Vec<Bitmap>> {
        match &self.header {
            Some(header) => Bitmap::read_all(&mut open(&self.path)?, header),
            None => Ok(Vec::new()),
        }
    }

    /// Returns whether a QEMU, such as a running virtual machine, may write to the file. An
    /// overlay of it cannot be opened then.
    pub(crate) fn is_written(&self) -> Result<bool> {
        Ok(lock::is_written(&open(&self.path)?))
    }

    /// Returns whether a QEMU has the file open, or another process has it open for writing,
    /// as far as the system can tell.
    ///
    /// # Errors
    ///
    /// Those of opening the file.
    pub fn is_in_use(&self) -> Result<bool> {
        Ok(lock::is_in_use(&open(&self.path)?) || lock::is_open_for_writing(&self.path)?)
    }

    /// Returns the length and the modification time that the file had when it was read.
    pub fn file_state(&self) -> FileState {
        let (seconds, nanoseconds) = self.modified;
        FileState {
            length: self.file_length,
            seconds,
            nanoseconds: nanoseconds as u32,
        }
    }

    /// Returns whether `file`, which this was read from, still has that length and time.
    pub(crate) fn is_unchanged(&self, file: &File) -> Result<bool> {
        let metadata = file.metadata()?;
        let length = if self.is_block_device {
            self.file_length
        } else {
            metadata.len()
        };
        Ok(length == self.file_length && modified(&metadata) == self.modified)
    }

    /// Returns whether this is the same file as `other`, under any name.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// Returns whether this is the file with `metadata`, under any name.
    pub fn is_file(&self, metadata: &Metadata) -> bool {
        self.identity == identity(metadata)
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}
