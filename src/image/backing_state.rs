//! Checks whether the files that back a disk are still those of its record.

use std::fmt;
use std::path::PathBuf;

use crate::format::format_error::FormatError;
use crate::format::header::file_state::FileState;
use crate::image::image_info::ImageInfo;

/// The result of comparing the record in a disk with the files that back it now;
/// [`FileState`](crate::FileState) says what it can detect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackingState {
    /// The disk has no record, or no longer has a backing file.
    NotRecorded,
    /// Every backing file is the one that was recorded.
    Unchanged,
    /// A backing file, or their number, differs from the record.
    Changed(Change),
    /// The record cannot be read, so nothing is known.
    Unreadable(FormatError),
}

/// A difference between a record and the backing files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path of the file that differs; of the last one if their number does.
    pub path: PathBuf,
    /// What was recorded of the file, and what it is now; none if the number differs.
    pub states: Option<[FileState; 2]>,
}

/// Says in a few words what differs.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.states {
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

impl BackingState {
    /// Compares the record in the first image of `chain` with the others, which are
    /// its backing files, the nearest first.
    pub fn of(chain: &[ImageInfo]) -> Self {
        let [disk, backing @ ..] = chain else {
            return BackingState::NotRecorded;
        };
        let (Some(header), Some(last)) = (&disk.header, backing.last()) else {
            return BackingState::NotRecorded;
        };
        let states = match header.backing_file_states() {
            Ok(Some(states)) => states,
            Ok(None) => return BackingState::NotRecorded,
            Err(error) => return BackingState::Unreadable(error),
        };
        let mut pairs = backing.iter().zip(&states);
        let changed = |image: &ImageInfo, states| {
            let path = image.path.clone();
            BackingState::Changed(Change { path, states })
        };
        match pairs.find(|(image, state)| image.file_state() != **state) {
            Some((image, state)) => changed(image, Some([*state, image.file_state()])),
            None if states.len() != backing.len() => changed(last, None),
            None => BackingState::Unchanged,
        }
    }
}
