//! Whether the files beneath a disk are still those that its record names.

use std::path::PathBuf;

use crate::format::error::Error;
use crate::image::image_info::ImageInfo;

/// What the record in a disk says of the files that are beneath it now; see
/// [`Stamp`](crate::Stamp) for how much that is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The disk has no record, or no longer has a backing file.
    Missing,
    /// Every file beneath is the one that was recorded.
    Unchanged,
    /// This file, or the number of those beneath, is not what was recorded.
    Changed(PathBuf),
    /// The record has no meaning here, so nothing is known.
    Unreadable(Error),
}

impl Record {
    /// Compares the record in the first image of `chain` with the others, which are
    /// those beneath it, the nearest first.
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
