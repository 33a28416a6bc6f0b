//! Copying files with holes in place of zeros.

use std::fs::File;
use std::io;
use std::ops::Range;

use crate::copy::buffer::Buffer;
use crate::copy::output::{Output, OutputFile};
use crate::format::zeros::data_ranges;
use crate::image::storage::{OpenFile, Storage};

/// Number of bytes that are read at once.
const PART: usize = 1 << 20;
/// Blocks of zeros of this length become holes.
const BLOCK: usize = 4096;

/// Copies the content of the regular file `from` to the empty file `to`. Holes stay holes, and
/// the two share blocks where the file system can do that.
///
/// # Errors
///
/// Those of the file system. Also fails if `from` becomes shorter meanwhile.
pub fn copy_sparse(from: &File, to: &File) -> io::Result<()> {
    let length = from.metadata()?.len();
    let file = from.try_clone()?;
    let source = OpenFile { file, length };
    let target = OutputFile::new(to);
    let mut start = 0;
    while start < length {
        let (is_data, end) = source.data_at(start);
        if is_data {
            if target.is_sharing() {
                start += target.share(from, start, start, (end - start) as usize) as u64;
            }
            copy_data(&source, start..end, &target)?;
        }
        start = end;
    }
    target.set_length(length)
}

fn copy_data(source: &OpenFile, range: Range<u64>, target: &OutputFile) -> io::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let mut buffer = Buffer::new(PART);
    for start in range.clone().step_by(PART) {
        let part = buffer.first(PART.min((range.end - start) as usize));
        source.read_at(part, start)?;
        for data in data_ranges(part, BLOCK) {
            target.write_at(&part[data.clone()], start + data.start as u64)?;
        }
    }
    Ok(())
}
