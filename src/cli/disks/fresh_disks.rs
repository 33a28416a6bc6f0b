//! The disks of a command.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use qcow2_overlay::{Error, Existing, FreshDisk, ImageInfo};

use crate::cli::advice::{About, Role};
use crate::cli::disks::block_node::blockdev;
use crate::cli::disks::names::Named;
use crate::cli::messages::cannot_write;

/// Reads the overlays that disks are to be like.
pub fn read_all(disks: &[Named]) -> Result<Vec<FreshDisk>> {
    let read = |disk: &Named| {
        let about = || About::new(Role::Overlay, about(disk));
        FreshDisk::like(&disk.path).with_context(about)
    };
    disks.iter().map(read).collect()
}

/// Writes disks to `place`, sets the variables of a command for them, and returns them. `fresh` is
/// what [`read_all`] has returned for `disks`.
pub fn give_disks(
    command: &mut Command,
    disks: &[Named],
    fresh: Vec<FreshDisk>,
    place: &Path,
) -> Result<Vec<Disk>> {
    let give = |(disk, fresh): (&Named, FreshDisk)| {
        let disk = write_disk(place, &disk.name, &about(disk), fresh)?;
        disk.give_to(command);
        Ok(disk)
    };
    disks.iter().zip(fresh).map(give).collect()
}

/// Returns what messages about a disk begin with.
fn about(disk: &Named) -> String {
    format!("disk {}: {:?}", disk.name, disk.path)
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

impl Disk {
    /// Sets the variables of a command for the disk.
    pub fn give_to(&self, command: &mut Command) {
        command.env(&self.name, &self.path);
        command.env(format!("{}_BLOCKDEV", self.name), &self.blockdev);
    }
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
