//! What `info` prints.

pub mod described;
pub mod details;
pub mod json;
pub mod text;
