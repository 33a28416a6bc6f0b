//! Checks whether the files that back a disk are still those of its record.

use std::path::PathBuf;

use crate::format::error::Error;
use crate::image::image_info::ImageInfo;

/// The result of comparing the record in a disk with the files that back it now;
/// [`Stamp`](crate::Stamp) says what it can detect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The disk has no record, or no longer has a backing file.
    Missing,
    /// Every backing file is the one that was recorded.
    Unchanged,
    /// This file, or the number of backing files, differs from the record.
    Changed(PathBuf),
    /// The record cannot be read, so nothing is known.
    Unreadable(Error),
}

impl Record {
    /// Compares the record in the first image of `chain` with the others, which are
    /// its backing files, the nearest first.
    pub fn of(chain: &[ImageInfo]) -> Self {
        let [disk, beneath @ ..] = chain else {
            return Record::Missing;
        };
        let (Some(header), Some(last)) = (&disk.header, beneath.last()) else {
            return Record::Missing;
        };
        let stamps = match header.stamps() {
            Ok(Some(stamps)) => stamps,
            Ok(None) => return Record::Missing,
            Err(error) => return Record::Unreadable(error),
        };
        let mut pairs = beneath.iter().zip(&stamps);
        match pairs.find(|(image, stamp)| image.stamp() != **stamp) {
            Some((image, _)) => Record::Changed(image.path.clone()),
            None if stamps.len() != beneath.len() => Record::Changed(last.path.clone()),
            None => Record::Unchanged,
        }
    }
}
