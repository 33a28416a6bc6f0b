//! Memory to copy through.

const PAGE: usize = 4096;

/// Bytes that start at a page: the kernel copies to and from these at twice the speed.
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// A buffer of `length` bytes.
    pub fn new(length: usize) -> Self {
        let memory = vec![0; length + PAGE];
        let start = memory.as_ptr().align_offset(PAGE).min(PAGE);
        Buffer { memory, start }
    }

    /// Its first `length` bytes, which it must have.
    pub fn first(&mut self, length: usize) -> &mut [u8] {
        &mut self.memory[self.start..self.start + length]
    }
}
