//! The source of a copy: a disk, of which only what may differ is read, or a stream.

use std::ops::Range;

use crate::copy::difference::PartsToCopy;
use crate::copy::stream::Stream;
use crate::format::error::Result;
use crate::image::disk_reader::DiskReader;
use crate::image::storage::Storage;

pub(crate) enum Source<'a, S> {
    Disk(PartsToCopy<'a, S>),
    Stream(Stream<'a>),
}

/// A part of the disk to copy.
pub(crate) struct Part<'a, S> {
    /// Whole clusters, the last of which can extend beyond the end of the disk.
    pub range: Range<u64>,
    /// The disk to read it from; none if it has been read.
    pub disk: Option<&'a DiskReader<S>>,
}

impl<'a, S: Storage> Source<'a, S> {
    /// Returns the largest cluster size of the images in bytes; 0 if there are none.
    pub fn largest_cluster(&self) -> u64 {
        match self {
            Source::Disk(parts) => parts.disk().largest_cluster(),
            Source::Stream(_) => 0,
        }
    }

    /// Returns the next part, of at most `buffer.len()` bytes. A part of a stream is read into
    /// `buffer`.
    pub fn next(&mut self, buffer: &mut [u8], cluster_size: u64) -> Result<Option<Part<'a, S>>> {
        let (range, disk) = match self {
            Source::Disk(parts) => {
                let disk = parts.disk();
                (parts.next(cluster_size, buffer.len() as u64)?, Some(disk))
            }
            Source::Stream(stream) => (stream.next(buffer)?, None),
        };
        Ok(range.map(|range| Part { range, disk }))
    }

    /// Returns the length of the disk in bytes, once all of it has been copied.
    pub fn length(&self) -> u64 {
        match self {
            Source::Disk(parts) => parts.size(),
            Source::Stream(stream) => stream.length(),
        }
    }
}
