//! Checks that the images of a chain match each other.

use std::io;

use crate::format::image_format::Format;
use crate::image::image_info::ImageInfo;
use crate::image::probe::{check_raw, open};

/// Checks that the images of `chain`, the topmost first, have the formats and sizes that the
/// overlays above them assume. An overlay can be created without opening its base, so these
/// can be wrong.
///
/// # Errors
///
/// An [`Error`](crate::Error) in an [`io::Error`] if the content of an image contradicts its
/// format. Also fails if an overlay is smaller than its base and has no data of its own: it
/// was created too small. (An overlay with data was used with this size, or shrunk by
/// `qemu-img resize --shrink`.)
pub fn check_fit(chain: &[ImageInfo]) -> io::Result<()> {
    if let Some(top) = chain.first() {
        check_content(top)?;
    }
    for (index, pair) in chain.windows(2).enumerate() {
        let (image, base) = (&pair[0], &pair[1]);
        check_pair(image, base).map_err(|e| match index {
            0 => e,
            _ => io::Error::new(e.kind(), format!("in {:?}: {e}", image.path)),
        })?;
    }
    Ok(())
}

fn check_pair(image: &ImageInfo, base: &ImageInfo) -> io::Result<()> {
    let path = &base.path;
    check_content(base)
        .map_err(|e| io::Error::new(e.kind(), format!("its backing file {path:?}: {e}")))?;
    let (size, least) = (image.virtual_size, base.virtual_size);
    if size < least && !image.has_data()? {
        return Err(io::Error::other(format!(
            "its size of {size} bytes cuts off the end of its backing file {path:?}, of \
             {least} bytes: give it a SIZE (in a BUILD file: size) of at least that"
        )));
    }
    Ok(())
}

/// Checks that a raw image is raw. The header of a qcow2 image has been read already.
fn check_content(image: &ImageInfo) -> io::Result<()> {
    match image.format {
        Format::Raw => check_raw(&mut open(&image.path)?),
        Format::Qcow2 => Ok(()),
    }
}
