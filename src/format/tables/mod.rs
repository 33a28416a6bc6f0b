//! The tables of an image: mapping, refcounts and snapshots.

pub mod limits;
pub mod mapping;
pub mod reader;
pub mod refcounts;
pub mod snapshots;
