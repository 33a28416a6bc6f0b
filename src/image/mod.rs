//! Image files: opening, describing and reading them, and their backing chains.

pub mod chain;
pub mod disk_reader;
pub mod fit;
pub mod image_info;
pub mod layer;
pub mod lock;
pub mod probe;
pub mod record;
pub mod storage;
pub mod usable;
