//! This process and the command that it runs.

pub mod child;
pub mod signals;
