//! The "format specific information" of a qcow2 image, as QEMU calls it.

use qcow2_overlay::{Bitmap, Header, Version};

use crate::cli::info_output::description::{lossy, ImageDescription};

/// A value to print, as text or JSON.
pub enum Detail {
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<Detail>),
    Map(Details),
}

/// Values with their names in text; JSON has dashes in place of the spaces.
pub type Details = Vec<(&'static str, Detail)>;

/// Returns the details of `image` in the order in which QEMU prints them. It is the order of a
/// hash table (`qobject/qdict.c`), neither that of the schema nor alphabetical.
pub fn details(image: &ImageDescription, header: &Header) -> Details {
    let compression = match header.compression {
        0 => Detail::text("zlib"),
        _ => Detail::text("zstd"),
    };
    let is_v3 = header.version == Version::V3;
    let compat = if is_v3 { "1.1" } else { "0.10" };
    let mut details = vec![
        ("compat", Detail::text(compat)),
        ("compression type", compression),
    ];
    if is_v3 {
        details.push(("lazy refcounts", Detail::Flag(header.has_lazy_refcounts())));
    }
    if !image.bitmaps.is_empty() {
        let bitmaps = image.bitmaps.iter().map(bitmap).collect();
        details.push(("bitmaps", Detail::List(bitmaps)));
    }
    details.push(("refcount bits", Detail::Number(header.refcount_bits())));
    if let (true, Some(name)) = (is_v3, header.data_file()) {
        details.push(("data file", Detail::Text(lossy(name))));
    }
    if let Some(format) = header.encryption_format() {
        // QEMU adds the ciphers and key slots that the LUKS header in the image gives.
        let format = ("format", Detail::text(format));
        details.push(("encrypt", Detail::Map(vec![format])));
    }
    if is_v3 {
        if header.has_incompatible(Header::EXTERNAL_DATA) {
            details.push((
                "data file raw",
                Detail::Flag(header.has_raw_external_data()),
            ));
        }
        details.push((
            "corrupt",
            Detail::Flag(header.has_incompatible(Header::CORRUPT)),
        ));
        details.push(("extended l2", Detail::Flag(header.has_extended_l2())));
    }
    details
}

fn bitmap(bitmap: &Bitmap) -> Detail {
    let flags = [("in-use", bitmap.in_use), ("auto", bitmap.auto)];
    let flags = flags.into_iter().filter(|(_, is_set)| *is_set);
    Detail::Map(vec![
        (
            "flags",
            Detail::List(flags.map(|(name, _)| Detail::text(name)).collect()),
        ),
        ("name", Detail::Text(lossy(&bitmap.name))),
        ("granularity", Detail::Number(bitmap.granularity())),
    ])
}

impl Detail {
    fn text(text: &str) -> Self {
        Detail::Text(text.to_owned())
    }
}
