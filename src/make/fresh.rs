//! A fresh writable disk like an overlay, and the images that back it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::format::error::Error;
use crate::format::image_format::Format;
use crate::format::options::Options;
use crate::format::stamp::Stamp;
use crate::image::chain::chain;
use crate::image::image_info::ImageInfo;
use crate::image::usable::check_usable;

/// A disk that can be written wherever one likes, because it has the absolute path of
/// its base. Nothing is ever opened for writing here.
///
/// ```no_run
/// use qcow2_overlay::{create_file, Existing, FreshDisk, Layout};
/// let disk = FreshDisk::like("node.qcow2".as_ref())?;
/// let layout = Layout::new(&disk.options)?;
/// create_file("/tmp/disk.qcow2".as_ref(), &layout, Existing::Keep)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshDisk {
    /// Those of the overlay, with the same base, or with the overlay itself as base if that
    /// holds data of its own. They record a [`Stamp`] of each backing file.
    pub options: Options,
    /// The images that back the disk, the nearest first, by absolute paths without symbolic
    /// links.
    pub beneath: Vec<ImageInfo>,
    /// The overlay and its backing chain, as found by the path that was given.
    pub overlay: Vec<ImageInfo>,
}

impl FreshDisk {
    /// A disk like the qcow2 image at `overlay`.
    ///
    /// # Errors
    ///
    /// Those of [`chain`]: the whole backing chain must exist. Also when a base has changed
    /// since `overlay`, or a disk that backs it, was written and recorded that base; when an
    /// image does not match its backing file, see [`check_fit`](crate::check_fit); when a
    /// running QEMU may write to one of them, by the locks that it holds; and when the base
    /// leads to other files by its real path than by the path it was found at.
    pub fn like(overlay: &Path) -> io::Result<Self> {
        let images = chain(overlay, Some(Format::Qcow2)).map_err(say_what_is_needed)?;
        check_usable(&images)?;
        let top = &images[0];
        let header = top.header.as_ref().ok_or(Error::NotQcow2)?;
        let options = Options::like(header);
        let own = usize::from(!top.has_data()?);
        Self::on(images, own, options)
    }

    /// An empty disk with `options` that is backed by `base`, a chain of which the topmost
    /// image is the first.
    ///
    /// # Errors
    ///
    /// As of [`like`](Self::like).
    pub fn backed_by(base: &[ImageInfo], options: Options) -> io::Result<Self> {
        check_usable(base)?;
        Self::on(base.to_vec(), 0, options)
    }

    /// A disk that is backed by `overlay`, but for the `own` first images of that.
    fn on(overlay: Vec<ImageInfo>, own: usize, options: Options) -> io::Result<Self> {
        let base = &overlay[own..];
        if base.is_empty() {
            return Ok(FreshDisk {
                options,
                beneath: Vec::new(),
                overlay,
            });
        }
        let beneath = real_chain(base)?;
        let stamps: Vec<Stamp> = beneath.iter().map(ImageInfo::stamp).collect();
        let name = beneath[0].path.as_os_str().as_bytes();
        Ok(FreshDisk {
            options: options.backing(name, Some(base[0].format)).stamps(stamps),
            beneath,
            overlay,
        })
    }
}

/// Says more of a raw image, or one of another format, where an overlay is needed.
fn say_what_is_needed(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        Some(Error::NotQcow2) => io::Error::other(
            "it is not a qcow2 image: create an overlay that is backed by it, and give that \
             (qcow2-overlay create -b; in a BUILD file: qcow2_overlay)",
        ),
        _ => error,
    }
}

/// The chain that starts at the real path of the first image, as a reader of the new
/// disk will find it, if that consists of the same files.
fn real_chain(images: &[ImageInfo]) -> io::Result<Vec<ImageInfo>> {
    let in_file = |path: &Path, e: io::Error| io::Error::new(e.kind(), format!("{path:?}: {e}"));
    let real_path = |path: &Path| fs::canonicalize(path).map_err(|e| in_file(path, e));
    let start = real_path(&images[0].path)?;
    let mut real = chain(&start, Some(images[0].format)).map_err(|e| in_file(&start, e))?;
    // A chain that ended earlier or later would differ in an image above.
    for (image, given) in real.iter_mut().zip(images) {
        if !image.is_same_file(given) {
            return Err(io::Error::other(format!(
                "its base is {:?} by the path given, but {:?} by its real path {start:?}; \
                 symbolic links must not part an overlay from its base",
                given.path, image.path
            )));
        }
        image.path = real_path(&image.path)?;
    }
    Ok(real)
}
