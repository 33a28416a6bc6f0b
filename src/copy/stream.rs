//! A disk that can be read only once, from its start to its end.

use std::io::{self, Read};
use std::ops::Range;

use crate::format::error::{Error, Result};

/// The bytes of a disk, from the first to the last.
pub(crate) struct Stream<'a> {
    reader: &'a mut (dyn Read + Send),
    /// Number of bytes read so far.
    length: u64,
    /// The largest length that is allowed, in bytes.
    limit: u64,
    /// A shorter stream is followed by zeros up to this length.
    padded_to: u64,
    /// Where the next part starts, in bytes.
    position: u64,
    is_at_end: bool,
}

impl<'a> Stream<'a> {
    /// Reads at most `limit` bytes; if there are fewer than `padded_to`, zeros follow.
    pub fn new(reader: &'a mut (dyn Read + Send), limit: u64, padded_to: u64) -> Self {
        Stream {
            reader,
            length: 0,
            limit,
            padded_to,
            position: 0,
            is_at_end: false,
        }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads the next part into `bytes`, which are whole clusters. Returns its range, or none
    /// at the end.
    pub fn next(&mut self, bytes: &mut [u8]) -> Result<Option<Range<u64>>> {
        let mut length = 0;
        while length < bytes.len() && !self.is_at_end {
            match self.reader.read(&mut bytes[length..]) {
                Ok(0) => self.is_at_end = true,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let start = self.position;
        if length == 0 && start >= self.padded_to {
            return Ok(None);
        }
        bytes[length..].fill(0);
        self.length += length as u64;
        self.position += bytes.len() as u64;
        if self.length > self.limit {
            return Err(Error::StreamTooLong { size: self.limit });
        }
        Ok(Some(start..self.position))
    }
}
