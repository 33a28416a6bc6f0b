//! What `info` prints.

pub mod description;
pub mod format_specific;
pub mod json;
pub mod text;
