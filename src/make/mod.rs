//! New image files, fresh disks and conversions.

pub mod conversion;
pub mod file;
pub mod fresh;
pub mod new_file;
