//! Bytes and their meaning. Nothing here opens a file.

pub mod bitmap;
pub mod bitmap_directory;
pub mod bitmap_extension;
pub mod bitmap_table;
pub mod compression;
pub mod error;
pub mod extension;
pub mod header;
pub mod header_check;
pub mod header_parse;
pub mod image_format;
pub mod layout;
pub mod limits;
pub mod luks;
pub mod mapping;
pub mod name;
pub mod new_header;
pub mod option_list;
pub mod options;
pub mod refcounts;
pub mod size;
pub mod snapshots;
pub mod stamp;
pub mod table;
pub mod zeros;
pub mod zstd_frame;
