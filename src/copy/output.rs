//! The target of an image's bytes: a file, or memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use crate::image::system;

/// A target that several threads can write to; bytes that are never written are zero.
pub trait Output: Sync {
    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Sets the length of the output, in bytes.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Returns whether [`share`](Self::share) is worth a try.
    fn is_sharing(&self) -> bool {
        false
    }

    /// Lets the output share bytes with another file, as far as the file system can, so that
    /// they need not be read and written. Returns how many bytes it shares.
    fn share(&self, _from: &File, _start: u64, _offset: u64, _length: usize) -> usize {
        0
    }
}

impl Output for Mutex<Vec<u8>> {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut image = self.lock().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + bytes.len();
        if image.len() < end {
            image.resize(end, 0);
        }
        image[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut image = self.lock().unwrap_or_else(PoisonError::into_inner);
        image.resize(length, 0);
        Ok(())
    }
}

/// A new file as output.
pub(crate) struct OutputFile<'a> {
    file: &'a File,
    is_sharing: bool,
}

impl<'a> OutputFile<'a> {
    pub fn new(file: &'a File) -> Self {
        OutputFile {
            file,
            is_sharing: system::can_share(file),
        }
    }
}

impl Output for OutputFile<'_> {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn is_sharing(&self) -> bool {
        self.is_sharing
    }

    fn share(&self, from: &File, start: u64, offset: u64, length: usize) -> usize {
        system::share(from, start, self.file, offset, length)
    }
}
