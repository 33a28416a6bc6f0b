//! The target of an image's bytes: a file, or memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

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

/// A new file.
pub(crate) struct NewFile<'a> {
    file: &'a File,
    is_sharing: bool,
}

impl<'a> NewFile<'a> {
    pub fn new(file: &'a File) -> Self {
        NewFile {
            file,
            is_sharing: can_share(file),
        }
    }
}

impl Output for NewFile<'_> {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn is_sharing(&self) -> bool {
        self.is_sharing
    }

    #[cfg(target_os = "linux")]
    fn share(&self, from: &File, start: u64, offset: u64, length: usize) -> usize {
        let (mut done, mut start, mut offset) = (0, start, offset);
        while done < length {
            let left = length - done;
            let into = Some(&mut offset);
            match rustix::fs::copy_file_range(from, Some(&mut start), self.file, into, left) {
                Ok(count) if count > 0 => done += count,
                _ => break,
            }
        }
        done
    }
}

/// Returns whether files can share blocks on the file system of `file`. On others, the kernel
/// would copy data that has been read already.
#[cfg(target_os = "linux")]
fn can_share(file: &File) -> bool {
    const BTRFS: u32 = 0x9123_683e;
    const XFS: u32 = 0x5846_5342;
    let status = rustix::fs::fstatfs(file);
    status.is_ok_and(|status| matches!(status.f_type as u32, BTRFS | XFS))
}

#[cfg(not(target_os = "linux"))]
fn can_share(_file: &File) -> bool {
    false
}
