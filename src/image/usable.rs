//! Checks that the images of a chain can be used in their present state.

use std::io;

use crate::image::fit::check_fit;
use crate::image::image_info::ImageInfo;
use crate::image::record::Record;

/// Checks that nothing writes to the images of a chain, the topmost first, that none has
/// changed since a disk above it recorded it, and that they fit each other.
///
/// # Errors
///
/// Fails if the locks of a running QEMU show that it may write to one of them, if a
/// [`Record`] does not match, and as [`check_fit`] does.
pub(crate) fn check_usable(images: &[ImageInfo]) -> io::Result<()> {
    images.iter().try_for_each(check_not_written)?;
    for start in 0..images.len() {
        check_record(&images[start..])?;
    }
    check_fit(images)
}

/// Checks that no running QEMU may write to an image.
pub(crate) fn check_not_written(image: &ImageInfo) -> io::Result<()> {
    match image.is_written()? {
        true => Err(io::Error::other(format!(
            "a running QEMU has {:?} open for writing; stop it first",
            image.path
        ))),
        false => Ok(()),
    }
}

fn check_record(images: &[ImageInfo]) -> io::Result<()> {
    let disk = &images[0].path;
    match Record::of(images) {
        Record::Missing | Record::Unchanged => Ok(()),
        Record::Changed(base) => Err(io::Error::other(format!(
            "its base {base:?} has changed since {disk:?} was written, so the disk no longer \
             matches its base; recreate it from the overlay it was cloned from"
        ))),
        Record::Unreadable(error) => Err(io::Error::other(format!(
            "{error} in {disk:?}, so its base may have changed; recreate it from the overlay \
             it was cloned from"
        ))),
    }
}
