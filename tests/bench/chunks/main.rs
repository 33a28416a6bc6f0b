//! Prints how many bytes of NEW are in chunks that OLD does not have:
//!
//!     chunks OLD NEW
//!
//! The chunks are like those of Bazel's `--experimental_remote_cache_chunking`: FastCDC, 512 KiB
//! on average.

use std::collections::HashSet;
use std::env;
use std::error::Error;
use std::fs::File;
use std::io::BufReader;

use fastcdc::v2020::StreamCDC;

const AVERAGE: usize = 512 << 10;

/// Calls `each` with the content of each chunk of a file.
fn chunks(path: &str, mut each: impl FnMut(Vec<u8>)) -> Result<(), Box<dyn Error>> {
    let file = BufReader::new(File::open(path)?);
    for chunk in StreamCDC::new(file, AVERAGE / 4, AVERAGE, AVERAGE * 4) {
        each(chunk?.data);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [old, new] = arguments.as_slice() else {
        return Err("give OLD and NEW".into());
    };
    let mut known = HashSet::new();
    chunks(old, |chunk| {
        known.insert(chunk);
    })?;
    let mut bytes = 0;
    chunks(new, |chunk| {
        let length = chunk.len();
        if known.insert(chunk) {
            bytes += length;
        }
    })?;
    println!("{bytes}");
    Ok(())
}
