//! Bytes and their meaning. Nothing here opens a file.

pub mod bitmaps;
pub mod compression;
pub mod error;
pub mod format_error;
pub mod header;
pub mod image_format;
pub mod layout;
pub mod name;
pub mod option_list;
pub mod options;
pub mod other_file;
pub mod size;
pub mod tables;
pub mod zeros;
