//! The disks of a command: checking their names, and writing them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use qcow2_overlay::{Error, Existing, FreshDisk, ImageInfo};
use tempfile::TempDir;

use crate::cli::advice::{About, Role};
use crate::cli::disks::blockdev::blockdev;
use crate::cli::failure::usage;
use crate::cli::messages::cannot_write;

/// A disk to write.
pub struct DiskArgument {
    pub name: String,
    pub overlay: PathBuf,
}

impl DiskArgument {
    /// Parses `NAME=OVERLAY`.
    pub fn parse(text: &OsStr) -> Result<Self> {
        let bytes = text.as_bytes();
        let Some(end) = bytes.iter().position(|&byte| byte == b'=') else {
            return Err(usage(format!("--disk {text:?}: write it as NAME=OVERLAY")));
        };
        Ok(DiskArgument {
            name: String::from_utf8_lossy(&bytes[..end]).into_owned(),
            overlay: PathBuf::from(OsStr::from_bytes(&bytes[end + 1..])),
        })
    }

    /// Reads the overlay.
    pub fn read(&self) -> Result<FreshDisk> {
        let about = || About::new(Role::Overlay, self.about());
        FreshDisk::like(&self.overlay).with_context(about)
    }

    /// Returns what messages about the disk begin with.
    pub fn about(&self) -> String {
        format!("disk {}: {:?}", self.name, self.overlay)
    }
}

/// Checks that each name is valid for an environment variable and for a QEMU block node
/// (`util/id.c`, `id_wellformed`; at most 31 bytes), and that no two variables clash.
pub fn check_names(disks: &[DiskArgument]) -> Result<()> {
    for (index, DiskArgument { name, .. }) in disks.iter().enumerate() {
        let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let bytes = name.as_bytes();
        if !bytes.first().is_some_and(is_letter)
            || !bytes.iter().copied().all(is_word)
            || bytes.len() > 31
        {
            return Err(usage(format!(
                "disk name {name:?}: give a letter, then up to 30 letters, digits and _"
            )));
        }
        if ["HOME", "PATH", "TMPDIR"].contains(&&name[..])
            || ["TEST_", "RUNFILES_"].iter().any(|p| name.starts_with(p))
        {
            return Err(usage(format!(
                "disk name {name:?}: this variable already has a meaning; choose another name"
            )));
        }
        if disks[..index].iter().any(|other| other.name == *name) {
            return Err(usage(format!("disk name {name:?}: it is given twice")));
        }
        let of_blockdev = name.strip_suffix("_BLOCKDEV");
        if let Some(other) = of_blockdev.filter(|n| disks.iter().any(|d| d.name == *n)) {
            return Err(usage(format!(
                "disk name {name:?}: disk {other:?} has a variable of this name; choose another name"
            )));
        }
    }
    Ok(())
}

/// Creates a directory for disks, which is removed when it is dropped.
pub fn make_directory(builder: &tempfile::Builder, parent: &Path) -> Result<TempDir> {
    let made = builder.tempdir_in(parent);
    made.context("cannot make a directory for the disks")
}

/// A disk that has been written.
pub struct Disk {
    pub name: String,
    pub path: PathBuf,
    /// The value for QEMU's `-blockdev`.
    pub blockdev: String,
    /// The images that back it, as in [`FreshDisk`].
    pub backing_chain: Vec<ImageInfo>,
}

/// Writes a disk to `NAME.qcow2` in `directory`, an absolute path without symbolic links.
/// Messages about the base begin with `about`.
pub fn write_disk(directory: &Path, name: &str, about: &str, fresh: FreshDisk) -> Result<Disk> {
    let about = || about.to_owned();
    let path = directory.join(format!("{name}.qcow2"));
    let header = match fresh.create(&path, Existing::Keep) {
        Err(error @ Error::Format(_)) => return Err(error).with_context(about),
        created => created.map_err(|error| cannot_write(&path, error))?,
    };
    let blockdev = blockdev(name, &path, header.version, &fresh.backing_chain);
    let blockdev = blockdev.with_context(about)?;
    Ok(Disk {
        name: name.to_owned(),
        path,
        blockdev: blockdev.to_string(),
        backing_chain: fresh.backing_chain,
    })
}
