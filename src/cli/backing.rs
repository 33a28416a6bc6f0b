//! The backing file of a new image: where it is, and whether it fits.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use clap::ArgMatches;
use qcow2_overlay::{
    backing_path, chain, check_consistency, Format, FormatError, Header, ImageInfo, OptionList,
    SECTOR,
};

use crate::cli::arguments::backing_of;
use crate::cli::failure::usage;

/// The backing file of a new image, as it is given.
pub struct Backing {
    pub name: OsString,
    pub format: Option<Format>,
    probe: Option<PathBuf>,
}

impl Backing {
    /// Returns the qcow2 image called `name`.
    pub fn qcow2(name: OsString) -> Self {
        Backing {
            name,
            format: Some(Format::Qcow2),
            probe: None,
        }
    }

    /// Returns the backing file that is given as `option` or in `list`, from which it is
    /// taken.
    pub fn of(matches: &ArgMatches, option: &str, list: &mut OptionList) -> Result<Option<Self>> {
        let (name, format) = backing_of(matches, option, list)?;
        let probe = matches.get_one::<PathBuf>("probe").cloned();
        if name.is_none() && (format.is_some() || probe.is_some()) {
            return Err(usage(format!(
                "-F and --probe require a backing file: {option} NAME"
            )));
        }
        Ok(name.map(|name| Backing {
            name,
            format,
            probe,
        }))
    }

    /// Reads the backing file and its own backing chain, which must not include the new image
    /// `file`. With `standalone`, the backing file must not have one of its own.
    pub fn open(&self, file: &Path, standalone: bool) -> Result<Vec<ImageInfo>> {
        let path = self.path(file)?;
        if standalone {
            // Nothing else is opened, whatever the image names.
            self.read(&path, true)?;
        }
        let images = chain(&path, self.format).with_context(|| about(&path))?;
        self.check_is_not(file, &images)?;
        Ok(images)
    }

    /// Reads the backing file as [`open`](Self::open) does, but checks its chain only if that is
    /// where the new image will find it.
    pub fn open_first(&self, file: &Path, standalone: bool) -> Result<ImageInfo> {
        let path = self.path(file)?;
        let mut images = if standalone || self.probe.is_some() {
            vec![self.read(&path, standalone)?]
        } else {
            chain(&path, self.format).with_context(|| about(&path))?
        };
        check_consistency(&images).with_context(|| about(&path))?;
        self.check_is_not(file, &images)?;
        Ok(images.remove(0))
    }

    fn read(&self, path: &Path, standalone: bool) -> Result<ImageInfo> {
        let image = ImageInfo::read(path, self.format).with_context(|| about(path))?;
        if standalone {
            check_stands_alone("backing file ", &image)?;
        }
        Ok(image)
    }

    /// Returns the path to open. Fails if it does not exist.
    fn path(&self, file: &Path) -> Result<PathBuf> {
        if let Some(path) = &self.probe {
            return Ok(path.clone());
        }
        let name = self.name.as_bytes();
        let Some(path) = backing_path(file, name) else {
            bail!(FormatError::BackingNameIsProtocol(name.to_vec()));
        };
        check_exists(&path, &self.name)?;
        Ok(path)
    }

    /// Checks that the new image `file` is not in the chain of its backing file, under any name.
    pub fn check_is_not(&self, file: &Path, chain: &[ImageInfo]) -> Result<()> {
        if file.as_os_str() == "-" {
            return Ok(());
        }
        let stored = backing_path(file, self.name.as_bytes()).unwrap_or_default();
        let is_in_chain = match fs::metadata(file) {
            Ok(found) => {
                let id = |metadata: &Metadata| (metadata.dev(), metadata.ino());
                chain.iter().any(|image| image.is_file(&found))
                    || fs::metadata(&stored).is_ok_and(|stored| id(&stored) == id(&found))
            }
            // No image that was opened can be `file`, which does not exist.
            Err(_) => {
                directory(file).is_ok_and(|it| directory(&stored).is_ok_and(|other| it == other))
                    && file.file_name() == stored.file_name()
            }
        };
        if is_in_chain {
            bail!(
                "{file:?} is in the chain of its backing file {:?}; give another path",
                self.name
            );
        }
        Ok(())
    }
}

fn about(path: &Path) -> String {
    format!("backing file {path:?}")
}

/// Fails with a hint if a backing file does not exist.
fn check_exists(path: &Path, name: &OsStr) -> Result<()> {
    let is_missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    if !fs::metadata(path).is_err_and(is_missing) {
        return Ok(());
    }
    let hint = match fs::canonicalize(name) {
        Ok(here) => format!(
            "; the one in the current directory is {:?}",
            here.as_os_str()
        ),
        Err(_) => String::new(),
    };
    bail!("backing file {path:?} does not exist (NAME is relative to the directory of FILE){hint}")
}

/// Checks that the new image is not one of `images`, the chain of `of`, under any name.
pub fn check_outside(file: &Path, of: &Path, images: &[ImageInfo]) -> Result<()> {
    match fs::metadata(file) {
        Ok(found) if images.iter().any(|image| image.is_file(&found)) => {
            bail!("{file:?} is in the chain of {of:?}; give another path")
        }
        _ => Ok(()),
    }
}

/// Returns the size of a disk that is backed by `base`, which is called `name`: by default as
/// large. Fails if `size` is smaller.
pub fn size_over(name: &OsStr, base: &ImageInfo, size: Option<u64>) -> Result<u64> {
    let least = base.virtual_size;
    let size = size.unwrap_or(least);
    if size.next_multiple_of(SECTOR) < least {
        bail!(
            "SIZE (in a BUILD file: size) of {size} bytes is smaller than the backing file \
             {name:?}, of {least} bytes: its end would be cut off"
        );
    }
    Ok(size)
}

/// Checks that all data of an image is in its file, for `--standalone`: a build action has only
/// that file as input, and an image from a stranger can name any file. The message begins with
/// `role`.
pub fn check_stands_alone(role: &str, image: &ImageInfo) -> Result<()> {
    let (path, Some(header)) = (&image.path, &image.header) else {
        return Ok(());
    };
    if let Some(name) = &header.backing_name {
        bail!(
            "{role}{path:?} is itself an overlay of {:?}, and --standalone allows none: in a \
             BUILD file, give a qcow2_overlay or another target with Qcow2Info in place of a \
             plain file",
            String::from_utf8_lossy(name)
        );
    }
    if header.has_incompatible(Header::EXTERNAL_DATA) {
        let name = header.data_file().unwrap_or_default();
        bail!(
            "{role}{path:?} has its data in another file, {:?}, and --standalone allows none; if \
             you trust the image, make it one file with qemu-img convert",
            String::from_utf8_lossy(name)
        );
    }
    Ok(())
}

/// Returns the directory that `path` is in, without symbolic links.
pub fn directory(path: &Path) -> io::Result<PathBuf> {
    let path = Path::new(".").join(path);
    fs::canonicalize(path.parent().unwrap_or(&path))
}
