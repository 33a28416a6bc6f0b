#![no_main]

#[path = "../convert.rs"]
mod convert;
#[path = "../model.rs"]
mod model;
#[path = "../recipe.rs"]
mod recipe;
#[path = "../sparse.rs"]
mod sparse;

libfuzzer_sys::fuzz_target!(|data: &[u8]| convert::convert(data));
