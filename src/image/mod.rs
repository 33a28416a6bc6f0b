//! Image files: opening, describing and reading them, and their backing chains.

pub mod backing_state;
pub mod chain;
pub mod chain_checks;
pub mod disk_reader;
pub mod image_info;
pub mod layer;
pub mod lock;
pub mod probe;
pub mod storage;
pub mod system;
