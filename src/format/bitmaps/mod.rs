//! Persistent bitmaps.

pub mod bitmap;
pub mod bitmap_table;
pub mod bitmaps_extension;
pub mod directory;
