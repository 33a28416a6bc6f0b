//! The directory of the disks and copies of a command, which is removed whatever is in it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cli::messages::say;

/// A new directory. It is removed, with its content, when it is dropped.
pub struct Place {
    path: PathBuf,
    is_kept: bool,
}

impl Place {
    /// Creates the directory in `parent`.
    pub fn new(builder: &tempfile::Builder, parent: &Path) -> io::Result<Self> {
        Ok(Place {
            path: builder.tempdir_in(parent)?.keep(),
            is_kept: false,
        })
    }

    /// Creates a directory in `parent` that no other user can enter: disks can hold secrets. Its
    /// name begins with `prefix`.
    pub fn private(prefix: &str, parent: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let permissions = Permissions::from_mode(0o700);
        Place::new(builder.prefix(prefix).permissions(permissions), parent)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the directory stay.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = remove(&self.path) {
            say(&format!("cannot remove {:?}: {error}", self.path));
        }
    }
}

/// Removes a directory, with its content. The command can have made directories that not even
/// their owner may write to.
pub fn remove(directory: &Path) -> io::Result<()> {
    let removed = fs::remove_dir_all(directory).or_else(|_| {
        open_up(directory);
        fs::remove_dir_all(directory)
    });
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Lets the owner of a directory, and of those in it, change them. What fails is noticed later.
fn open_up(directory: &Path) {
    let _ = fs::set_permissions(directory, Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            open_up(&entry.path());
        }
    }
}
