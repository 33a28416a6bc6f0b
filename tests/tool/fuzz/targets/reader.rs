#![no_main]

#[path = "../model.rs"]
mod model;
#[path = "../reader.rs"]
mod reader;

libfuzzer_sys::fuzz_target!(|data: &[u8]| reader::reader(data));
