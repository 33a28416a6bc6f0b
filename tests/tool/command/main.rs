//! Tests of the tool and the library that need no QEMU.

mod base_mistakes;
mod changed_source;
mod clone;
mod common;
mod convert;
mod convert_canonical;
mod convert_mistakes;
mod copies;
mod corrupt_data;
mod create;
mod create_mistakes;
mod exec;
mod fit;
mod info;
mod keep;
mod layers;
mod limits;
mod other_files;
mod output_mistakes;
mod provision;
mod provision_mistakes;
mod reference;
mod runner;
mod signals;
mod stale;
mod strangers;
