//! The subcommands.

pub mod blockdev;
pub mod clone;
pub mod convert;
pub mod create;
pub mod exec;
pub mod info;
pub mod provision;
