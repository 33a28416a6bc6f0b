//! Writing image files completely or not at all, with holes in place of zeros.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

#[cfg(target_os = "linux")]
use rustix::fs::OFlags;
use rustix::fs::{linkat, AtFlags, CWD};

use crate::format::layout::Layout;
use crate::image::lock;

/// What to do if the new image's file exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail with [`io::ErrorKind::AlreadyExists`].
    Keep,
    /// Replace it with the new image in one step. Fail if it is not a regular file, if it is
    /// write-protected (as Bazel's outputs are; this holds for root too), or if the locks of
    /// a running QEMU show that it is open. A symbolic link is replaced itself, not its
    /// target.
    Replace,
}

/// Writes the image of `layout` to `path`. Zeros become holes, so the file takes a few
/// kilobytes on disk whatever its size.
///
/// The file has no name until it is complete, so a process that is killed leaves nothing
/// behind. There are two exceptions: on a file system without unnamed files it has a temporary
/// name, and when it replaces a file it has one between two system calls. A file that replaces
/// another is synced to disk first.
///
/// # Errors
///
/// Those of the file system and those of [`Existing`]. Nothing is left behind.
pub fn create_file(path: &Path, layout: &Layout, existing: Existing) -> io::Result<()> {
    write_file(path, existing, |file| write_sparse(file, layout))
}

/// Creates a file at `path`, as [`create_file`] does, and lets `write` fill it. An error of
/// `write` leaves nothing behind either.
pub(crate) fn write_file<T>(
    path: &Path,
    existing: Existing,
    write: impl FnOnce(&File) -> io::Result<T>,
) -> io::Result<T> {
    check_target(path, existing)?;
    let directory = directory_of(path);
    let mut temporary = tempfile::Builder::new();
    temporary.prefix(".qcow2-overlay-");
    if let Ok(file) = open_unnamed(directory) {
        let written = write(&file)?;
        match link(&file, path) {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && existing == Existing::Replace =>
            {
                file.sync_all()?;
                let named = temporary.make_in(directory, |name| link(&file, name))?;
                named.persist(path)?;
            }
            linked => linked?,
        }
        return Ok(written);
    }
    let create = |name: &Path| File::options().write(true).create_new(true).open(name);
    let named = temporary.make_in(directory, create)?;
    let written = write(named.as_file())?;
    match existing {
        Existing::Keep => named.persist_noclobber(path).map(drop)?,
        Existing::Replace => {
            named.as_file().sync_all()?;
            named.persist(path).map(drop)?;
        }
    }
    Ok(written)
}

/// Returns the directory part of `path`, or `.` if it has none.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(target_os = "linux")]
fn open_unnamed(directory: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    File::options()
        .write(true)
        .custom_flags(OFlags::TMPFILE.bits() as i32)
        .open(directory)
}

#[cfg(not(target_os = "linux"))]
fn open_unnamed(_directory: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives an unnamed file the name `path`, which must not exist, as open(2) describes.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Checks that nothing is at `path`, or a file that may be replaced. [`create_file`] does this
/// before it writes.
///
/// # Errors
///
/// Those of [`Existing`].
pub fn check_target(path: &Path, existing: Existing) -> io::Result<()> {
    let Ok(found) = path.symlink_metadata() else {
        return Ok(());
    };
    let kind = found.file_type();
    let problem = if !kind.is_file() && !kind.is_symlink() {
        "it exists and is not a regular file"
    } else if existing == Existing::Keep {
        return Err(io::ErrorKind::AlreadyExists.into());
    } else if kind.is_file() && found.permissions().readonly() {
        "it exists and is write-protected"
    } else if kind.is_file() && lock::is_in_use(&File::open(path)?) {
        "a running QEMU has it open"
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
