//! Checks whether the files that back a disk are still those of its record.

use std::fmt;
use std::path::PathBuf;

use crate::format::error::Error;
use crate::format::header::base_record::Stamp;
use crate::image::image_info::ImageInfo;

/// The result of comparing the record in a disk with the files that back it now;
/// [`Stamp`](crate::Stamp) says what it can detect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The disk has no record, or no longer has a backing file.
    Missing,
    /// Every backing file is the one that was recorded.
    Unchanged,
    /// A backing file, or their number, differs from the record.
    Changed(Change),
    /// The record cannot be read, so nothing is known.
    Unreadable(Error),
}

/// A difference between a record and the backing files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path of the file that differs; of the last one if their number does.
    pub path: PathBuf,
    /// What was recorded of the file, and what it is now; none if the number differs.
    pub stamps: Option<[Stamp; 2]>,
}

/// Says in a few words what differs.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stamps {
            None => write!(f, "the number of backing files is another one"),
            Some([old, new]) if old.length != new.length => {
                write!(f, "its length was {} bytes, now {}", old.length, new.length)
            }
            Some([old, new]) => {
                write!(f, "modified at {}, recorded {}", new.time(), old.time())
            }
        }
    }
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
        let changed = |image: &ImageInfo, stamps| {
            let path = image.path.clone();
            Record::Changed(Change { path, stamps })
        };
        match pairs.find(|(image, stamp)| image.stamp() != **stamp) {
            Some((image, stamp)) => changed(image, Some([*stamp, image.stamp()])),
            None if stamps.len() != beneath.len() => changed(last, None),
            None => Record::Unchanged,
        }
    }
}
