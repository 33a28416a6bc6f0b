//! A file that gets its name when it is complete. Until then it has none, or a hidden one, which
//! a signal can remove.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::os::unix::fs::{fchown, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{linkat, AtFlags, CWD};
use tempfile::{NamedTempFile, TempPath};

use crate::copy::sparse::copy_sparse;
use crate::image::system;

/// The temporary names of the files that this process is writing.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes the files that this process is writing under temporary names; their writers fail
/// then. A program can call this before a signal ends it.
pub fn remove_unfinished() {
    for name in unfinished().iter() {
        let _ = fs::remove_file(name); // it may have its final name just now
    }
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a file system report the errors of earlier writes that it reports when a descriptor of
/// the file is closed. NFS, SMB and FUSE do this, where an error then is the first sign of a
/// full server or an exceeded quota. Costs nothing on other file systems.
///
/// # Errors
///
/// Those of the file system.
pub fn flush(file: impl AsFd) -> io::Result<()> {
    loop {
        let duplicate = file.as_fd().try_clone_to_owned()?.into_raw_fd();
        // SAFETY: the descriptor was made above, and nothing else has it.
        if unsafe { libc::close(duplicate) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Returns the directory part of `path`, or `.` if it has none.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file that nobody else sees under its final name yet. It is removed if it does not get it.
pub(crate) enum NewFile {
    Unnamed(File),
    Named(NamedFile),
}

type NamedFile = NamedTempFile<(File, Unfinished)>;

/// A temporary name that is in [`UNFINISHED`].
pub(crate) struct Unfinished(PathBuf);

impl NewFile {
    /// Creates an empty file beside `path`, which is to be its name.
    pub fn beside(path: &Path) -> io::Result<Self> {
        match system::open_unnamed(directory_of(path)) {
            Ok(file) => Ok(NewFile::Unnamed(file)),
            Err(_) => create_named(path).map(NewFile::Named),
        }
    }

    pub fn file(&self) -> &File {
        match self {
            NewFile::Unnamed(file) => file,
            NewFile::Named(named) => &named.as_file().0,
        }
    }

    /// Gives the file the name `path`, which no other file may have.
    pub fn name(self, path: &Path) -> io::Result<()> {
        let named = match self {
            NewFile::Named(named) => named,
            NewFile::Unnamed(file) => match link(&file, path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    copy_to_named(&file, path)?
                }
                linked => return linked,
            },
        };
        let (_file, temporary) = named.into_parts();
        rename_new(temporary, path)
    }

    /// Gives the file the name `path`, in place of the file that may have it.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        let named = match self {
            NewFile::Named(named) => named,
            NewFile::Unnamed(file) => match link(&file, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    file.sync_all()?;
                    let named = hidden().make_in(directory_of(path), |name| link(&file, name))?;
                    return Ok(named.into_temp_path().persist(path)?);
                }
                Err(_) => copy_to_named(&file, path)?,
                linked => return linked,
            },
        };
        let (file, temporary) = named.into_parts();
        file.0.sync_all()?;
        Ok(temporary.persist(path)?)
    }
}

impl Unfinished {
    fn new(name: &Path) -> Self {
        unfinished().push(name.to_owned());
        Unfinished(name.to_owned())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().retain(|name| *name != self.0);
    }
}

fn hidden() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".qcow2-overlay-");
    builder
}

fn create_named(path: &Path) -> io::Result<NamedFile> {
    hidden().make_in(directory_of(path), |name| {
        let unfinished = Unfinished::new(name);
        let file = File::options().write(true).create_new(true).open(name)?;
        Ok((file, unfinished))
    })
}

/// Copies an unnamed file that cannot get a name.
fn copy_to_named(file: &File, path: &Path) -> io::Result<NamedFile> {
    let named = create_named(path)?;
    let copy = &named.as_file().0;
    keep_permissions(copy, &file.metadata()?)?;
    copy_sparse(file, copy)?;
    flush(copy)?;
    Ok(named)
}

/// Gives `file` the mode of another one, and its owner and group where the system allows that.
/// Nobody gets a permission that they did not have.
pub(crate) fn keep_permissions(file: &File, other: &Metadata) -> io::Result<()> {
    let found = file.metadata()?;
    let (user, group) = (other.uid(), other.gid());
    // Only root can give a file away, and only a member can give it to a group.
    let has_group = (found.uid(), found.gid()) == (user, group)
        || fchown(file, Some(user), Some(group))
            .or_else(|_| fchown(file, None, Some(group)))
            .is_ok();
    let mut mode = other.mode() & 0o777;
    if !has_group {
        mode &= !0o070;
    }
    // A file system without modes refuses to set one.
    if found.mode() & 0o777 != mode {
        file.set_permissions(PermissionsExt::from_mode(mode))?;
    }
    Ok(())
}

/// Gives an unnamed file the name `path`, which must not exist, as open(2) describes.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Moves a file to a name that no other file may have. If the file system cannot do that in
/// one step, an empty file takes the name first.
pub fn rename_new(from: TempPath, to: &Path) -> io::Result<()> {
    let failed = match from.persist_noclobber(to) {
        Ok(()) => return Ok(()),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(failed.error)
        }
        Err(failed) => failed,
    };
    File::create_new(to)?;
    failed.path.persist(to).map_err(|failed| {
        let _ = fs::remove_file(to);
        failed.error
    })
}
