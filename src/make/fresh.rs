//! Fresh writable disks like an overlay, and the images that back them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::format::error::{Error, Result};
use crate::format::format_error::FormatError;
use crate::format::header::file_state::FileState;
use crate::format::header::Header;
use crate::format::image_format::Format;
use crate::format::layout::Layout;
use crate::format::options::Options;
use crate::image::chain::chain;
use crate::image::chain_checks::check_chain;
use crate::image::image_info::ImageInfo;
use crate::make::file::{create_file, Existing};

/// A disk that can be written to any path, because it stores the absolute path of its base.
/// Making it opens nothing for writing.
///
/// ```no_run
/// use qcow2_overlay::{Existing, FreshDisk};
/// let disk = FreshDisk::like("node.qcow2".as_ref())?;
/// disk.create("/tmp/disk.qcow2".as_ref(), Existing::Keep)?;
/// # Ok::<(), qcow2_overlay::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshDisk {
    /// The options of the overlay. The base is that of the overlay, or the overlay itself if
    /// it holds data of its own. They record a [`FileState`] of each backing file.
    pub options: Options,
    /// The images that back the disk, the nearest first, by absolute paths without symbolic
    /// links.
    pub backing_chain: Vec<ImageInfo>,
    /// The overlay and its backing chain, by the path that was given.
    pub overlay: Vec<ImageInfo>,
}

impl FreshDisk {
    /// Returns a disk like the qcow2 image at `overlay`.
    ///
    /// # Errors
    ///
    /// Those of [`chain`]: the whole backing chain must exist. Also fails if
    ///
    /// - a base has changed since an image above it recorded it,
    /// - an image does not match its backing file, see [`check_consistency`](crate::check_consistency),
    /// - the locks of a running QEMU show that it may write to one of the images,
    /// - the real path of the base leads to a different backing chain than its given path.
    pub fn like(overlay: &Path) -> Result<Self> {
        let images = chain(overlay, Some(Format::Qcow2))?;
        check_chain(&images)?;
        let top = &images[0];
        let header = top.header.as_ref().ok_or(FormatError::NotQcow2)?;
        let options = Options::like(header);
        let own = usize::from(!top.has_data()?);
        Self::on(images, own, options)
    }

    /// Returns an empty disk with `options` that is backed by the chain `base`, the topmost
    /// image first.
    ///
    /// # Errors
    ///
    /// Those of [`like`](Self::like).
    pub fn backed_by(base: &[ImageInfo], options: Options) -> Result<Self> {
        check_chain(base)?;
        Self::on(base.to_vec(), 0, options)
    }

    /// Writes the disk to `path`, as [`create_file`] does, and returns its header.
    ///
    /// # Errors
    ///
    /// Those of [`create_file`] and of [`Layout::new`].
    pub fn create(&self, path: &Path, existing: Existing) -> Result<Header> {
        let layout = Layout::new(&self.options)?;
        create_file(path, &layout, existing)?;
        Ok(layout.header().clone())
    }

    /// Returns a disk that is backed by the images of `overlay` after the first `own`.
    fn on(overlay: Vec<ImageInfo>, own: usize, options: Options) -> Result<Self> {
        let base = &overlay[own..];
        if base.is_empty() {
            return Ok(FreshDisk {
                options,
                backing_chain: Vec::new(),
                overlay,
            });
        }
        let backing_chain = real_chain(base)?;
        let states: Vec<FileState> = backing_chain.iter().map(ImageInfo::file_state).collect();
        let name = backing_chain[0].path.as_os_str().as_bytes();
        Ok(FreshDisk {
            options: options
                .backing(name, Some(base[0].format))
                .backing_file_states(states),
            backing_chain,
            overlay,
        })
    }
}

/// Reads the chain from the real path of its first image, as a reader of the new disk will,
/// and checks that it consists of the same files.
fn real_chain(images: &[ImageInfo]) -> Result<Vec<ImageInfo>> {
    let real_path = |path: &Path| fs::canonicalize(path).map_err(|error| Error::at(path, error));
    let start = real_path(&images[0].path)?;
    let mut real =
        chain(&start, Some(images[0].format)).map_err(|error| Error::at(&start, error))?;
    // If one chain were longer, an image above would differ already.
    for (image, given) in real.iter_mut().zip(images) {
        if !image.is_same_file(given) {
            return Err(Error::OtherByRealPath {
                given: given.path.clone(),
                start,
                found: image.path.clone(),
            });
        }
        image.path = real_path(&image.path)?;
    }
    Ok(real)
}
