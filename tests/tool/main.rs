//! The tool and the library, without QEMU.

mod bad_input;
mod changed_source;
mod clone;
mod common;
mod convert;
mod convert_mistakes;
mod corrupt_data;
mod create;
mod exec;
mod fit;
mod floors;
mod info;
mod keep;
mod provision;
mod provision_mistakes;
mod reference;
mod runner;
mod signals;
mod stale;
