//! Checks that the images of a chain match each other, and can be used in their present state.

use std::io;

use crate::format::image_format::Format;
use crate::image::backing_state::BackingState;
use crate::image::image_info::ImageInfo;
use crate::image::probe::{check_raw, open};

/// Checks that nothing writes to the images of a chain, the topmost first, that none has
/// changed since a disk above it recorded it, and that they fit each other.
///
/// # Errors
///
/// Fails if the locks of a running QEMU show that it may write to one of them, if a
/// [`BackingState`] does not match, and as [`check_consistency`] does.
pub(crate) fn check_chain(images: &[ImageInfo]) -> io::Result<()> {
    images.iter().try_for_each(check_not_written)?;
    check_records(images, "recreate it from the overlay it was cloned from")?;
    check_consistency(images)
}

/// Checks that no running QEMU may write to an image.
pub(crate) fn check_not_written(image: &ImageInfo) -> io::Result<()> {
    if image.is_written()? {
        Err(io::Error::other(format!(
            "a running QEMU has {:?} open for writing; stop it first",
            image.path
        )))
    } else {
        Ok(())
    }
}

/// Checks that no image has changed since a disk above it recorded it. `advice` says what to do
/// about that disk.
pub(crate) fn check_records(images: &[ImageInfo], advice: &str) -> io::Result<()> {
    for (index, image) in images.iter().enumerate() {
        let disk = &image.path;
        let problem = match BackingState::of(&images[index..]) {
            BackingState::NotRecorded | BackingState::Unchanged => continue,
            BackingState::Changed(change) => format!(
                "its base {:?} has changed since {disk:?} was written ({change}), so the disk \
                 may not match it",
                change.path
            ),
            BackingState::Unreadable(error) => {
                format!("{error} in {disk:?}, so its base may have changed")
            }
        };
        return Err(io::Error::other(format!("{problem}: {advice}")));
    }
    Ok(())
}

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
pub fn check_consistency(chain: &[ImageInfo]) -> io::Result<()> {
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
