//! The data that `qcow2-overlay info` prints.

use anyhow::{Context, Result};
use qcow2_overlay::{BackingState, Bitmap, ImageInfo, Snapshot};

/// An image and what its header refers to.
pub struct ImageDescription {
    pub image: ImageInfo,
    pub snapshots: Vec<Snapshot>,
    pub bitmaps: Vec<Bitmap>,
    /// Whether the backing files are those that the image records.
    pub record: BackingState,
}

impl ImageDescription {
    /// Describes an image, and opens no other file.
    pub fn new(image: ImageInfo, record: BackingState) -> Result<Self> {
        let about = || format!("{:?}", image.path);
        Ok(ImageDescription {
            snapshots: image.snapshots().with_context(about)?,
            bitmaps: image.bitmaps().with_context(about)?,
            image,
            record,
        })
    }
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the path of the backing file, or its name if that is not a file name.
pub fn full_backing_name(image: &ImageInfo) -> String {
    let name = image
        .header
        .as_ref()
        .and_then(|h| h.backing_name.as_deref());
    match &image.backing_path {
        Some(path) => path.to_string_lossy().into_owned(),
        None => lossy(name.unwrap_or_default()),
    }
}
