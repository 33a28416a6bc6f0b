//! An image and its backing chain.

use std::io;
use std::path::Path;

use crate::format::error::Error;
use crate::format::header::Header;
use crate::format::image_format::Format;
use crate::format::name::quoted;
use crate::image::image_info::ImageInfo;

/// Reads the image at `path` and its backing chain. Returns the topmost image first.
///
/// # Errors
///
/// Those of [`ImageInfo::read`]. Also fails if a backing file is missing, has a name that is
/// not a file name, or is backed by itself. The message names the image that it backs.
pub fn chain(path: &Path, format: Option<Format>) -> io::Result<Vec<ImageInfo>> {
    let mut images = vec![ImageInfo::read(path, format)?];
    loop {
        let top = &images[images.len() - 1];
        let in_top = |e: io::Error| match images.len() {
            1 => e,
            _ => io::Error::new(e.kind(), format!("in {:?}: {e}", top.path)),
        };
        let Some(base) = top.base().map_err(in_top)? else {
            return Ok(images);
        };
        if images.iter().any(|image| image.is_same_file(&base)) {
            let name = quoted(base.path.as_os_str().as_encoded_bytes());
            return Err(io::Error::other(format!(
                "the backing chain is a loop: {name} is backed by itself"
            )));
        }
        images.push(base);
    }
}

impl ImageInfo {
    /// Returns the format that the header records for the backing file.
    fn backing_format(&self) -> io::Result<Option<Format>> {
        let name = self.header.as_ref().and_then(Header::backing_format);
        let format = name.map(|name| {
            let known = String::from_utf8_lossy(name).parse();
            known.map_err(|_: String| {
                io::Error::other(format!(
                    "its backing file has the recorded format {}, and only raw and qcow2 are read \
                     here: make the image one file with qemu-img convert",
                    quoted(name)
                ))
            })
        });
        format.transpose()
    }

    /// Reads the backing file, if the image has one.
    fn base(&self) -> io::Result<Option<Self>> {
        let Some(path) = &self.backing_path else {
            return match self.header.as_ref().and_then(|h| h.backing_name.clone()) {
                Some(name) => Err(Error::BackingFileIsNoFile(name).into()),
                None => Ok(None),
            };
        };
        let base = ImageInfo::read(path, self.backing_format()?)
            .map_err(|e| io::Error::new(e.kind(), format!("its backing file {path:?}: {e}")))?;
        Ok(Some(base))
    }
}
