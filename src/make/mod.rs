//! What is made of the floors below: files, fresh disks and conversions.

pub mod buffer;
pub mod convert;
pub mod difference;
pub mod file;
pub mod fresh;
pub mod output;
pub mod packer;
pub mod pipeline;
