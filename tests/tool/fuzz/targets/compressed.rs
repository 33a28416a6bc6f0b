#![no_main]

#[path = "../compressed.rs"]
mod compressed;
#[path = "../model.rs"]
mod model;
#[path = "../reader.rs"]
mod reader;
#[path = "../recipe.rs"]
mod recipe;
#[path = "../sparse.rs"]
mod sparse;

libfuzzer_sys::fuzz_target!(|data: &[u8]| compressed::compressed(data));
