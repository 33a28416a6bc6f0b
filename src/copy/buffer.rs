//! Memory for copying.

const PAGE: usize = 4096;

/// Bytes that start at a page boundary: the kernel copies them at twice the speed.
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// Returns a buffer of `length` bytes.
    pub fn new(length: usize) -> Self {
        let memory = vec![0; length + PAGE];
        let start = memory.as_ptr().align_offset(PAGE).min(PAGE);
        Buffer { memory, start }
    }

    /// Returns the first `length` bytes, which the buffer must have.
    pub fn first(&mut self, length: usize) -> &mut [u8] {
        &mut self.memory[self.start..self.start + length]
    }
}
