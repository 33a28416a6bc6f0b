//! Persistent bitmaps.

pub mod bitmap;
pub mod directory;
