#![no_main]

#[path = "../mapping.rs"]
mod mapping;
#[path = "../model.rs"]
mod model;
#[path = "../reader.rs"]
mod reader;
#[path = "../recipe.rs"]
mod recipe;
#[path = "../sparse.rs"]
mod sparse;

libfuzzer_sys::fuzz_target!(|data: &[u8]| mapping::mapping(data));
