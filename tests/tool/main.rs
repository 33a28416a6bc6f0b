//! The tool and the library, without QEMU.

mod bad_input;
mod clone;
mod common;
mod create;
mod exec;
mod fit;
mod info;
mod keep;
mod reference;
mod runner;
mod signals;
mod stale;
