//! What the layers below are used for: new files, fresh disks and conversions.

pub mod convert;
pub mod file;
pub mod fresh;
