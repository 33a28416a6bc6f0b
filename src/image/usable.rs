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
    check_records(images, "recreate it from the overlay it was cloned from")?;
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

/// Checks that no image has changed since a disk above it recorded it. `advice` says what to do
/// about that disk.
pub(crate) fn check_records(images: &[ImageInfo], advice: &str) -> io::Result<()> {
    for (index, image) in images.iter().enumerate() {
        let disk = &image.path;
        let problem = match Record::of(&images[index..]) {
            Record::Missing | Record::Unchanged => continue,
            Record::Changed(change) => format!(
                "its base {:?} has changed since {disk:?} was written ({change}), so the disk \
                 may not match it",
                change.path
            ),
            Record::Unreadable(error) => {
                format!("{error} in {disk:?}, so its base may have changed")
            }
        };
        return Err(io::Error::other(format!("{problem}: {advice}")));
    }
    Ok(())
}
