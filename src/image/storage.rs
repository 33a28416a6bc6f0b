//! The source of an image's bytes: a file, or memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::image::system;

/// The bytes of an image file, which many threads can read.
pub trait Storage: Sync {
    /// Returns the length in bytes.
    fn length(&self) -> u64;

    /// Fills `buffer` with the bytes from `offset` on, and with zeros beyond the end.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Returns whether there may be data at `offset`, or a hole, and the offset at which it
    /// ends. `offset` must be less than [`length`](Self::length); the end is greater than
    /// `offset` and at most that length.
    fn data_at(&self, _offset: u64) -> (bool, u64) {
        (true, self.length())
    }

    /// Returns the file that has the bytes, if there is one.
    fn file(&self) -> Option<&File> {
        None
    }
}

/// An open file, and the length it had when it was opened.
#[derive(Debug)]
pub struct OpenFile {
    pub file: File,
    pub length: u64,
}

impl Storage for OpenFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if done < buffer.len() && offset + (done as u64) < self.length {
            return Err(io::Error::other("it was cut off while it was read"));
        }
        buffer[done..].fill(0);
        Ok(())
    }

    fn data_at(&self, offset: u64) -> (bool, u64) {
        system::data_at(&self.file, offset, self.length)
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

impl Storage for Vec<u8> {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_or(self.len(), |start| start.min(self.len()));
        let count = buffer.len().min(self.len() - start);
        buffer[..count].copy_from_slice(&self[start..start + count]);
        buffer[count..].fill(0);
        Ok(())
    }
}
