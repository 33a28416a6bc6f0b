//! Fresh disks and copies for a command.

pub mod blockdev;
pub mod copies;
pub mod fresh_disks;
pub mod names;
