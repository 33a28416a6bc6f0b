//! Checks that the images of a chain match each other, and can be used in their present state.

use crate::format::error::{Error, Result};
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
pub(crate) fn check_chain(images: &[ImageInfo]) -> Result<()> {
    images.iter().try_for_each(check_not_written)?;
    check_records(images)?;
    check_consistency(images)
}

/// Checks that no running QEMU may write to an image.
pub(crate) fn check_not_written(image: &ImageInfo) -> Result<()> {
    if image.is_written()? {
        return Err(Error::OpenForWriting(image.path.clone()));
    }
    Ok(())
}

/// Checks that no image has changed since a disk above it recorded it.
pub(crate) fn check_records(images: &[ImageInfo]) -> Result<()> {
    for (index, image) in images.iter().enumerate() {
        let disk = image.path.clone();
        return Err(match BackingState::of(&images[index..]) {
            BackingState::NotRecorded | BackingState::Unchanged => continue,
            BackingState::Changed(change) => Error::BackingFileChanged {
                disk,
                change: change.to_string(),
                path: change.path,
            },
            BackingState::Unreadable(source) => Error::RecordUnreadable { disk, source },
        });
    }
    Ok(())
}

/// Checks that the images of `chain`, the topmost first, have the formats and sizes that the
/// overlays above them assume. An overlay can be created without opening its base, so these
/// can be wrong.
///
/// # Errors
///
/// [`Error::Format`] if the content of an image contradicts its format. Also fails if an overlay is smaller than its base and has no data of its own: it
/// was created too small. (An overlay with data was used with this size, or shrunk by
/// `qemu-img resize --shrink`.)
pub fn check_consistency(chain: &[ImageInfo]) -> Result<()> {
    if let Some(top) = chain.first() {
        check_content(top)?;
    }
    for (index, pair) in chain.windows(2).enumerate() {
        let (image, base) = (&pair[0], &pair[1]);
        check_pair(image, base).map_err(|error| Error::in_image(index, &image.path, error))?;
    }
    Ok(())
}

fn check_pair(image: &ImageInfo, base: &ImageInfo) -> Result<()> {
    let path = &base.path;
    check_content(base).map_err(|error| Error::in_backing_file(path, error))?;
    let (size, least) = (image.virtual_size, base.virtual_size);
    if size < least && !image.has_data()? {
        let path = path.clone();
        return Err(Error::SmallerThanBackingFile { size, path, least });
    }
    Ok(())
}

/// Checks that a raw image is raw. The header of a qcow2 image has been read already.
fn check_content(image: &ImageInfo) -> Result<()> {
    match image.format {
        Format::Raw => check_raw(&mut open(&image.path)?),
        Format::Qcow2 => Ok(()),
    }
}
