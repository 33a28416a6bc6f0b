//! Image files: whole under their name or not there at all, zeros as holes.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Layout;

/// What to do with a file that has the name of the new image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail with [`io::ErrorKind::AlreadyExists`].
    Keep,
    /// Put the new image in its place, in one step. What is not a regular file, or
    /// is write-protected (as Bazel's outputs are, even for root), is left. A
    /// symbolic link is replaced itself, not what it points to.
    Replace,
}

/// Writes the image of `layout` to `path`, through a temporary file beside it.
/// Zeros become holes: a few kilobytes on disk whatever the size.
///
/// # Errors
///
/// Those of the file system, and as [`Existing`] says. Nothing is left behind then.
pub fn create_file(path: &Path, layout: &Layout, existing: Existing) -> io::Result<()> {
    if let Ok(found) = path.symlink_metadata() {
        check_existing(&found, existing)?;
    }
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let create = |path: &Path| File::options().write(true).create_new(true).open(path);
    let file = tempfile::Builder::new()
        .prefix(".qcow2-overlay-")
        .make_in(directory, create)?;
    write_sparse(file.as_file(), layout)?;
    match existing {
        Existing::Keep => file.persist_noclobber(path)?,
        Existing::Replace => file.persist(path)?,
    };
    Ok(())
}

fn check_existing(found: &Metadata, existing: Existing) -> io::Result<()> {
    let kind = found.file_type();
    let problem = if !kind.is_file() && !kind.is_symlink() {
        "it exists and is not a regular file"
    } else if existing == Existing::Keep {
        return Err(io::ErrorKind::AlreadyExists.into());
    } else if kind.is_file() && found.permissions().readonly() {
        "it exists and is write-protected"
    } else {
        return Ok(());
    };
    Err(io::Error::other(problem))
}

fn write_sparse(file: &File, layout: &Layout) -> io::Result<()> {
    for (offset, bytes) in layout.segments() {
        file.write_all_at(&bytes, offset)?;
    }
    file.set_len(layout.file_length())
}
