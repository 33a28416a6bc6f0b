//! Copying guest data to a new image: what differs, where it goes, and the threads.

pub mod allocator;
pub mod buffer;
pub mod difference;
pub mod output;
pub mod packer;
pub mod pipeline;
pub mod source;
pub mod sparse;
pub mod stream;
pub mod tables;
pub mod turns;
