//! The parts of a disk to read: those not known to be zeros, or to be the same in the base.

use std::ops::Range;

use crate::format::error::{Error, Result};
use crate::image::disk_reader::{Content, DiskReader, Extent};
use crate::image::storage::Storage;

/// A disk, followed by zeros.
pub(crate) struct ExtentCursor<'a, S> {
    reader: &'a DiskReader<S>,
    /// Number of images that are asked for extents; see [`DiskReader::extent`].
    depth: usize,
    /// The last extent, which can be costly to find, and its start.
    last: Option<(u64, Extent)>,
}

impl<'a, S: Storage> ExtentCursor<'a, S> {
    pub fn new(reader: &'a DiskReader<S>, depth: usize) -> Self {
        let last = None;
        ExtentCursor {
            reader,
            depth,
            last,
        }
    }

    fn extent(&mut self, offset: u64) -> Result<Extent> {
        if offset >= self.reader.virtual_size() {
            return Ok(Extent {
                content: Content::Zero,
                length: u64::MAX - offset,
            });
        }
        let rest = |(start, extent): (u64, Extent)| {
            let skipped = offset.checked_sub(start)?;
            let length = extent
                .length
                .checked_sub(skipped)
                .filter(|&left| left > 0)?;
            Some(Extent { length, ..extent })
        };
        if let Some(extent) = self.last.and_then(rest) {
            return Ok(extent);
        }
        let extent = self.reader.extent(offset, self.depth)?;
        self.last = Some((offset, extent));
        Ok(extent)
    }
}

/// Says in an error that something is wrong with the backing file, not with the source.
pub(crate) fn in_base(error: Error) -> Error {
    Error::InBase(Box::new(error))
}

/// Fills `buffer` with the content at `offset` of a disk, and with zeros beyond its end.
pub(crate) fn read_padded<S: Storage>(
    reader: &DiskReader<S>,
    buffer: &mut [u8],
    offset: u64,
) -> Result<()> {
    let left = reader.virtual_size().saturating_sub(offset);
    let length = left.min(buffer.len() as u64) as usize;
    let (there, beyond) = buffer.split_at_mut(length);
    beyond.fill(0);
    reader.read_at(there, offset)
}

/// Finds the parts of a disk that have to be read, in order.
pub(crate) struct PartsToCopy<'a, S> {
    source: ExtentCursor<'a, S>,
    base: Option<ExtentCursor<'a, S>>,
    /// Size of the new disk in bytes.
    size: u64,
    /// Where the search goes on, in bytes.
    position: u64,
}

impl<'a, S: Storage> PartsToCopy<'a, S> {
    /// Asks the `depth` topmost images of `disk` for content, and compares it with `base`.
    pub fn new(
        disk: &'a DiskReader<S>,
        depth: usize,
        base: Option<&'a DiskReader<S>>,
        size: u64,
    ) -> Self {
        PartsToCopy {
            source: ExtentCursor::new(disk, depth),
            base: base.map(|base| ExtentCursor::new(base, base.depth())),
            size,
            position: 0,
        }
    }

    pub fn disk(&self) -> &'a DiskReader<S> {
        self.source.reader
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns whether the content at `offset` need not be read, and for how many bytes this
    /// is so.
    fn is_skipped(&mut self, offset: u64) -> Result<(bool, u64)> {
        let source = self.source.extent(offset)?;
        let (is_skipped, length) = match (source.content, &mut self.base) {
            (Content::Unallocated, _) => (true, source.length),
            (Content::Zero, None) => (true, source.length),
            (Content::Zero, Some(base)) => {
                let base = base.extent(offset).map_err(in_base)?;
                let is_zero = base.content == Content::Zero;
                (is_zero, source.length.min(base.length))
            }
            (Content::Data { .. }, _) => (false, source.length),
        };
        Ok((is_skipped, length.min(self.size - offset)))
    }

    /// Returns the next part to read: whole clusters of `cluster_size` bytes, the last of which
    /// can extend beyond the end of the disk. No part crosses a multiple of `step` bytes, which
    /// are whole clusters.
    pub fn next(&mut self, cluster_size: u64, step: u64) -> Result<Option<Range<u64>>> {
        let mut start = self.position;
        loop {
            if start >= self.size {
                self.position = self.size;
                return Ok(None);
            }
            match self.is_skipped(start)? {
                (true, length) => start += length,
                (false, _) => break,
            }
        }
        let mut end = start;
        start -= start % cluster_size;
        let most = (start - start % step + step).min(self.size);
        while end < most {
            let (is_skipped, length) = self.is_skipped(end)?;
            if is_skipped && end + length >= end.next_multiple_of(cluster_size) {
                break;
            }
            end += length;
        }
        end = end.min(most).next_multiple_of(cluster_size);
        self.position = end;
        Ok(Some(start..end))
    }
}
