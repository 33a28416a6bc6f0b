//! What is made of the floors below: files, fresh disks and conversions.

pub mod convert;
pub mod file;
pub mod fresh;
