//! Disks of a command whose changes become images.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail, Context, Result};
use qcow2_overlay::{
    chain, CompressionType, Conversion, Error, Existing, Format, FormatError, FreshDisk, ImageInfo,
    NewImage, OptionList, Options, UnnamedFile,
};

use crate::cli::advice::{About, Role};
use crate::cli::backing::{check_outside, size_over, Backing};
use crate::cli::disks::fresh_disks::{write_disk, Disk};
use crate::cli::disks::names::Named;
use crate::cli::messages::cannot_write;

/// The name of the main disk.
pub const DISK: &str = "DISK";

/// What is known of a disk before the command runs.
pub struct Derived {
    pub name: String,
    /// The image to write.
    pub file: PathBuf,
    backing: Backing,
    is_standalone: bool,
    /// The chain of the backing file.
    base: Vec<ImageInfo>,
    /// Options of the image. Without a size, it is as large as the command has made the disk.
    options: Options,
    /// The size of the disk at first.
    size: u64,
}

impl Derived {
    /// Returns the main disk.
    pub fn main(
        file: &Path,
        backing: Backing,
        is_standalone: bool,
        list: &OptionList,
    ) -> Result<Self> {
        let base = backing.open(file, is_standalone)?;
        let size = size_over(&backing.name, &base[0], list.size)?;
        Ok(Derived {
            name: DISK.to_owned(),
            file: file.to_owned(),
            backing,
            is_standalone,
            base,
            options: list.options(),
            size,
        })
    }

    /// Returns another disk, which keeps the size of its backing file: the qcow2 image whose path,
    /// relative to the directory of `file`, is that of `disk`.
    pub fn further(disk: &Named, file: &Path, options: &Options) -> Result<Self> {
        let backing = Backing::qcow2(OsString::from(&disk.path));
        let about = || About::new(Role::Overlay, format!("disk {}", disk.name));
        let base = backing.open(file, false).with_context(about)?;
        let size = base[0].virtual_size;
        Ok(Derived {
            name: disk.name.clone(),
            file: file.to_owned(),
            backing,
            is_standalone: false,
            base,
            options: options.clone().virtual_size(size),
            size,
        })
    }

    /// Checks that the output `file`, of any disk or copy, replaces nothing that backs this disk.
    pub fn check_outside(&self, file: &Path) -> Result<()> {
        check_outside(file, &self.base[0].path, &self.base)
    }

    /// Writes the disk to `directory`: an empty overlay of the backing file.
    pub fn write_disk(&self, directory: &Path, fresh: FreshDisk) -> Result<Disk> {
        write_disk(directory, &self.name, &self.about_base(), fresh)
    }

    /// Describes the disk to write.
    pub fn fresh(&self) -> Result<FreshDisk> {
        // Any QEMU knows zlib, and only the image is compressed.
        let options = self
            .options
            .clone()
            .virtual_size(self.size)
            .compression_type(CompressionType::Zlib);
        FreshDisk::backed_by(&self.base, options).with_context(|| self.about_base())
    }

    fn about_base(&self) -> String {
        format!("backing file {:?}", self.base[0].path)
    }

    /// Returns the chain of the disk after the command, which nobody may still write to and whose
    /// backing files must be those of before.
    pub fn after(&self, disk: &Disk) -> Result<Vec<ImageInfo>> {
        check_same(
            &self.base,
            &self.backing.open(&self.file, self.is_standalone)?,
        )?;
        let images =
            chain(&disk.path, Some(Format::Qcow2)).map_err(|error| self.about_disk(error))?;
        if images[0].is_in_use()? {
            bail!(
                "a process that COMMAND started still has {} open: it must end, or close the \
                 disk, before COMMAND ends",
                self.words()
            );
        }
        // QEMU has not written to it since.
        if images[0].is_marked_corrupt() {
            bail!(
                "{} after COMMAND: QEMU has marked it as corrupt",
                self.words()
            );
        }
        Ok(images)
    }

    /// Writes the image, compressed or not, which does not get its name yet. `progress` is called
    /// now and then.
    pub fn write_image(
        &self,
        images: &[ImageInfo],
        is_compressed: bool,
        existing: Existing,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(NewImage, UnnamedFile)> {
        let name = self.backing.name.as_encoded_bytes();
        let options = self
            .options
            .clone()
            .backing(name, Some(self.base[0].format));
        Conversion::to_qcow2(options)
            .base(&self.base)
            .compressed(is_compressed)
            .existing(existing)
            .progress(progress)
            .write_unnamed(images, &self.file)
            .map_err(|error| match error {
                Error::BackingFileChanged { .. } => anyhow!(
                    "{} after COMMAND: its backing file is not the one that it was created with",
                    self.words()
                ),
                // Only the main disk can have another size.
                Error::TooSmall { least, .. } if self.name != DISK => anyhow!(
                    "{} after COMMAND: it has {least} bytes, and must keep the {} of its backing \
                     file",
                    self.words(),
                    self.size
                ),
                error => cannot_write(&self.file, error),
            })
    }

    /// Returns what messages call the disk.
    fn words(&self) -> String {
        if self.name == DISK {
            "the disk".to_owned()
        } else {
            format!("the disk {}", self.name)
        }
    }

    /// Returns an error about the disk after COMMAND.
    fn about_disk(&self, error: Error) -> anyhow::Error {
        use FormatError::{ForeignFormat, NotQcow2, OtherFile};
        let disk = self.words();
        match error {
            Error::Format(NotQcow2 | OtherFile(_) | ForeignFormat(_)) => {
                anyhow!("{disk} after COMMAND: it is not a qcow2 image")
            }
            error => anyhow::Error::new(error).context(format!("{disk} after COMMAND")),
        }
    }
}

/// Checks that the images of a chain have not changed.
fn check_same(before: &[ImageInfo], after: &[ImageInfo]) -> Result<()> {
    for (before, after) in before.iter().zip(after) {
        if before.file_state() != after.file_state() {
            bail!(
                "{:?} was changed while COMMAND ran, so what COMMAND wrote may not match it",
                before.path
            );
        }
    }
    Ok(())
}
