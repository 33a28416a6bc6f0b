//! The tool and the library, without QEMU.

mod bad_input;
mod clone;
mod common;
mod create;
mod exec;
mod fit;
mod floors;
mod info;
mod keep;
mod reference;
mod runner;
mod signals;
mod stale;
