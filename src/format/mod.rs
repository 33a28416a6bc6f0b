//! Bytes and their meaning. Nothing here opens a file.

pub mod bitmap_table;
pub mod bitmaps;
pub mod error;
pub mod extension;
pub mod header;
pub mod layout;
pub mod luks;
pub mod name;
pub mod option_list;
pub mod options;
pub mod size;
pub mod snapshots;
pub mod stamp;
pub mod table;
