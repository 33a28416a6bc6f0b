//! Image files: opening them, what they are, and what is beneath them.

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
