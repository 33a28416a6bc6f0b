//! Fresh disks and copies for a command.

pub mod block_node;
pub mod copies;
pub mod derived;
pub mod fresh_disks;
pub mod names;
pub mod place;
pub mod results;
