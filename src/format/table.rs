//! Tables in an image whose entries state their own lengths.

use std::io::{self, Read, Seek, SeekFrom};

use crate::format::error::{check_end, Error};

/// Reads a table from its start on, never past its limit or the end of the file,
/// and never takes more memory than it reads.
pub(crate) struct Table<'a, R> {
    reader: &'a mut R,
    what: Names,
    start: u64,
    limit: u64,
    file_length: u64,
    /// In bytes from the start of the table.
    position: u64,
}

/// What errors call a table.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    /// Such as `the snapshot table`.
    pub table: &'static str,
    /// Its length in bytes.
    pub length: &'static str,
}

impl<'a, R: Read + Seek> Table<'a, R> {
    /// The table that starts at byte `start` of the file and has at most `limit` bytes.
    pub fn new(reader: &'a mut R, what: Names, start: u64, limit: u64) -> io::Result<Self> {
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

    /// How much has been read, in bytes.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let at = self.start + self.position;
        self.skip(count as u64)?;
        let mut bytes = vec![0; count];
        self.reader.seek(SeekFrom::Start(at))?;
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Goes past the next `count` bytes, which must be there.
    pub fn skip(&mut self, count: u64) -> Result<(), Error> {
        let end = self.position.saturating_add(count);
        if end > self.limit {
            return Err(Error::Corrupt {
                field: self.what.length,
                value: end,
            });
        }
        self.check_in_file(self.what.table, self.start, end)?;
        self.position = end;
        Ok(())
    }

    /// Goes on at the next multiple of 8. Behind the last entry of a table that may
    /// be past the end of the file.
    pub fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }

    /// Checks that the file holds `count` bytes at `start`.
    pub fn check_in_file(&self, what: &'static str, start: u64, count: u64) -> Result<(), Error> {
        check_end(what, start.saturating_add(count), self.file_length)
    }
}
