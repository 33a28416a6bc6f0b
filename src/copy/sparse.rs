//! Copying files with holes in place of zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::copy::buffer::Buffer;
use crate::format::zeros::data_ranges;

/// Number of bytes that are read at once.
const PART: usize = 1 << 20;
/// Blocks of zeros of this length become holes.
const BLOCK: usize = 4096;

/// Copies the content of `from`, from its start on, to the empty file `to`.
///
/// # Errors
///
/// Those of the file system.
pub fn copy_sparse(from: &File, to: &File) -> io::Result<()> {
    let mut buffer = Buffer::new(PART);
    let buffer = buffer.first(PART);
    let mut position = 0;
    loop {
        let count = match from.read_at(buffer, position) {
            Ok(0) => return to.set_len(position),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for range in data_ranges(&buffer[..count], BLOCK) {
            let start = position + range.start as u64;
            to.write_all_at(&buffer[range], start)?;
        }
        position += count as u64;
    }
}
