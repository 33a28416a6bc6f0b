//! A persistent bitmap of an image.

/// An entry of the bitmap directory (the specification's section "Bitmaps").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    /// Unique in the image, of 1 to 1023 bytes, of which those up to a NUL count.
    pub name: Vec<u8>,
    /// log2 of the bytes of the disk that a bit stands for, 9 to 31.
    pub granularity_bits: u8,
    /// Whether it was not saved, so that its content may be outdated.
    pub in_use: bool,
    /// Whether every write to the disk must be recorded in it.
    pub auto: bool,
    /// Where its table starts, in bytes from the start of the file.
    pub table_offset: u64,
    /// Entries of 8 bytes in its table.
    pub table_entries: u32,
}

impl Bitmap {
    /// The bytes of the disk that a bit stands for.
    pub fn granularity(&self) -> u64 {
        1 << self.granularity_bits
    }
}
