//! The data that `qcow2-overlay info` prints.

use anyhow::{Context, Result};
use qcow2_overlay::{chain, Bitmap, Extension, Header, ImageInfo, Record, Snapshot};

/// An image and what its header refers to.
pub struct Described {
    pub image: ImageInfo,
    pub snapshots: Vec<Snapshot>,
    pub bitmaps: Vec<Bitmap>,
    /// Whether the bases are those that the image records, or why this is unknown.
    pub record: Result<Record, String>,
}

impl Described {
    pub fn new(image: ImageInfo) -> Result<Self> {
        let about = || format!("{:?}", image.path);
        let snapshots = image.snapshots().with_context(about)?;
        let bitmaps = image.bitmaps().with_context(about)?;
        let has_record = |header: &Header| header.extension(Extension::BASE_STAMPS).is_some();
        let record = match image.header.as_ref().is_some_and(has_record) {
            true => chain(&image.path, Some(image.format)).map(|images| Record::of(&images)),
            false => Ok(Record::Missing),
        };
        Ok(Described {
            image,
            snapshots,
            bitmaps,
            record: record.map_err(|error| error.to_string()),
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
