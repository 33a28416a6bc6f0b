//! Tables whose entries vary in length, such as the snapshot table.

use std::io::{Read, Seek, SeekFrom};

use crate::format::error::Result;
use crate::format::format_error::{check_end, FormatError};

/// Reads a table from its start on, never past its limit or the end of the file. It never
/// uses more memory than it reads.
pub(crate) struct Table<'a, R> {
    reader: &'a mut R,
    what: Names,
    start: u64,
    limit: u64,
    file_length: u64,
    /// In bytes from the start of the table.
    position: u64,
}

/// The names of a table in errors.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    /// The table, such as `the snapshot table`.
    pub table: &'static str,
    /// Its length in bytes, such as `length of the snapshot table`.
    pub length: &'static str,
}

impl<'a, R: Read + Seek> Table<'a, R> {
    /// Starts to read the table at byte `start` of the file, which has at most `limit` bytes.
    pub fn new(reader: &'a mut R, what: Names, start: u64, limit: u64) -> Result<Self> {
        let file_length = reader.seek(SeekFrom::End(0))?;
        Ok(Table {
            reader,
            what,
            start,
            limit,
            file_length,
            position: 0,
        })
    }

    /// Returns the position in bytes from the start of the table.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads the next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        let at = self.start + self.position;
        self.skip(count as u64)?;
        let mut bytes = vec![0; count];
        self.reader.seek(SeekFrom::Start(at))?;
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Skips the next `count` bytes, which the table and the file must have.
    fn skip(&mut self, count: u64) -> Result<(), FormatError> {
        let end = self.position.saturating_add(count);
        if end > self.limit {
            return Err(FormatError::Corrupt {
                field: self.what.length,
                value: end,
            });
        }
        self.check_in_file(self.what.table, self.start, end)?;
        self.position = end;
        Ok(())
    }

    /// Advances to the next multiple of 8 bytes. After the last entry, that may be past the
    /// end of the file.
    pub fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }

    /// Checks that the file has `count` bytes at `start`.
    pub fn check_in_file(
        &self,
        what: &'static str,
        start: u64,
        count: u64,
    ) -> Result<(), FormatError> {
        check_end(what, start.saturating_add(count), self.file_length)
    }
}
