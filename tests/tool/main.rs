//! The tool and the library, without QEMU.

mod bad_input;
mod clone;
mod common;
mod create;
mod info;
mod reference;
