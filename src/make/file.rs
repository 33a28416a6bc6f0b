//! Writing image files completely or not at all, with holes in place of zeros.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::format::error::{Error, Result};
use crate::format::layout::Layout;
use crate::image::lock;
use crate::make::new_file::{flush, keep_permissions, NewFile};

/// What to do if the new image's file exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail with [`Error::Exists`].
    Keep,
    /// Replace it with the new image in one step. Fail if it is not a regular file, if it is
    /// write-protected (as Bazel's outputs are; this holds for root too), or if the locks of
    /// a running QEMU show that it is open. A symbolic link is replaced itself, not its
    /// target.
    Replace,
}

/// Writes the image of `layout` to `path`, as [`write_file`] does. Zeros become holes, so the
/// file takes a few kilobytes on disk whatever its size.
///
/// # Errors
///
/// Those of [`write_file`].
pub fn create_file(path: &Path, layout: &Layout, existing: Existing) -> Result<()> {
    write_file(path, existing, |file| write_sparse(file, layout))
}

/// Creates a file, which `write` fills, and gives it the name `path` when it is complete.
///
/// Until then the file has no name, so a process that is killed leaves nothing behind. On a
/// file system without unnamed files, or where an unnamed file cannot be given a name, it has
/// a hidden temporary name, `.qcow2-overlay-*`; see [`remove_unfinished`](crate::remove_unfinished). A file that replaces
/// another has one between two system calls. It is synced to disk first, and gets the mode of
/// the other file, and its owner and group where the system allows that.
///
/// A file system that can neither link nor rename without replacing (exFAT) shows an empty
/// file for a moment before the complete one: this keeps others from taking the name.
///
/// Errors that a file system reports late, when a file is closed, are reported before the
/// file gets its name. A new file is not synced: after a power failure it can be incomplete.
///
/// # Errors
///
/// Those of `write`, of the file system and of [`Existing`]. Nothing is left behind.
pub fn write_file<T>(
    path: &Path,
    existing: Existing,
    write: impl FnOnce(&File) -> Result<T>,
) -> Result<T> {
    let (written, file) = write_unnamed(path, existing, write)?;
    file.name()?;
    Ok(written)
}

/// A complete file that has no name yet, or a temporary one. It is removed if it does not get its
/// name.
pub struct UnnamedFile {
    new: NewFile,
    path: PathBuf,
    existing: Existing,
}

impl UnnamedFile {
    /// Gives the file its name, as the last step of [`write_file`].
    ///
    /// # Errors
    ///
    /// Those of the file system and of [`Existing`].
    pub fn name(self) -> Result<()> {
        let named = match self.existing {
            Existing::Keep => self.new.name(&self.path),
            Existing::Replace => self.new.replace(&self.path),
        };
        named.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists,
            _ => error.into(),
        })
    }
}

/// Does what [`write_file`] does, except that the file does not get its name yet.
pub(crate) fn write_unnamed<T>(
    path: &Path,
    existing: Existing,
    write: impl FnOnce(&File) -> Result<T>,
) -> Result<(T, UnnamedFile)> {
    let replaced = check_target(path, existing)?;
    let new = NewFile::beside(path)?;
    if let Some(replaced) = &replaced {
        keep_permissions(new.file(), replaced)?;
    }
    let written = write(new.file())?;
    flush(new.file())?;
    let path = path.to_owned();
    Ok((
        written,
        UnnamedFile {
            new,
            path,
            existing,
        },
    ))
}

/// Checks that nothing is at `path`, or a file that may be replaced. [`write_file`] does this
/// before it writes. Returns the metadata of a regular file that would be replaced.
///
/// # Errors
///
/// Those of [`Existing`].
pub fn check_target(path: &Path, existing: Existing) -> Result<Option<Metadata>> {
    let Ok(found) = path.symlink_metadata() else {
        return Ok(None);
    };
    let kind = found.file_type();
    let what = if !kind.is_file() && !kind.is_symlink() {
        "it exists and is not a regular file"
    } else if existing == Existing::Keep {
        return Err(Error::Exists);
    } else if kind.is_file() && found.permissions().readonly() {
        "it exists and is write-protected"
    } else if kind.is_file() && lock::is_in_use(&File::open(path)?) {
        "a running QEMU has it open"
    } else {
        return Ok(Some(found).filter(Metadata::is_file));
    };
    Err(Error::NotReplaceable { what })
}

fn write_sparse(file: &File, layout: &Layout) -> Result<()> {
    for (offset, bytes) in layout.segments() {
        file.write_all_at(&bytes, offset)?;
    }
    Ok(file.set_len(layout.file_length())?)
}
