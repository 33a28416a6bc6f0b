//! What is made of the floors below: files and fresh disks.

pub mod file;
pub mod fresh;
