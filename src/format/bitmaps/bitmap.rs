//! A persistent bitmap of an image.

/// An entry of the bitmap directory (the specification's section "Bitmaps").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    /// Unique in the image. 1 to 1023 bytes are stored; the name ends at the first NUL.
    pub name: Vec<u8>,
    /// log2 of the number of bytes of the disk per bit, 9 to 31.
    pub granularity_bits: u8,
    /// Whether the bitmap was not saved, so that its content may be outdated.
    pub in_use: bool,
    /// Whether the bitmap must record every write to the disk.
    pub auto: bool,
    /// Where its table starts, in bytes from the start of the file.
    pub table_offset: u64,
    /// Number of entries of 8 bytes in its table.
    pub table_entries: u32,
}

impl Bitmap {
    /// Returns the number of bytes of the disk per bit.
    pub fn granularity(&self) -> u64 {
        1 << self.granularity_bits
    }
}
