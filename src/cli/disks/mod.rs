//! Fresh disks for a command.

pub mod blockdev;
pub mod fresh_disks;
