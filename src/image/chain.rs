//! Reads an image and its backing chain, and refuses names of backing files that are not files.

use std::path::Path;

use crate::format::error::{Error, Result};
use crate::format::format_error::FormatError;
use crate::format::header::Header;
use crate::format::image_format::Format;
use crate::image::image_info::ImageInfo;

/// Reads the image at `path` and its backing chain. Returns the topmost image first.
///
/// # Errors
///
/// Those of [`ImageInfo::read`]. Also fails if a backing file is missing, has a name that is
/// not a file name, or is backed by itself. The message names the image that it backs.
pub fn chain(path: &Path, format: Option<Format>) -> Result<Vec<ImageInfo>> {
    let mut images = vec![ImageInfo::read(path, format)?];
    loop {
        let top = &images[images.len() - 1];
        let in_top = |error| Error::in_image(images.len() - 1, &top.path, error);
        let Some(base) = top.base().map_err(in_top)? else {
            return Ok(images);
        };
        if images.iter().any(|image| image.is_same_file(&base)) {
            return Err(Error::Loop(base.path));
        }
        images.push(base);
    }
}

impl ImageInfo {
    /// Returns the format that the header records for the backing file.
    fn backing_format(&self) -> Result<Option<Format>> {
        let name = self.header.as_ref().and_then(Header::backing_format);
        let format = name.map(|name| {
            let known = String::from_utf8_lossy(name).parse();
            known.map_err(|_: String| Error::BackingFormat(name.to_vec()))
        });
        format.transpose()
    }

    /// Reads the backing file, if the image has one.
    fn base(&self) -> Result<Option<Self>> {
        let Some(path) = &self.backing_path else {
            return match self.header.as_ref().and_then(|h| h.backing_name.clone()) {
                Some(name) => Err(FormatError::BackingFileIsNoFile(name).into()),
                None => Ok(None),
            };
        };
        let base = ImageInfo::read(path, self.backing_format()?)
            .map_err(|error| Error::in_backing_file(path, error))?;
        Ok(Some(base))
    }
}
