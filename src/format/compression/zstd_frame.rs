//! The length of a zstd frame (RFC 8878).

/// The magic number of a frame (3.1.1).
pub(crate) const FRAME: u32 = 0xFD2F_B528;
/// The magic number of a frame to be skipped (3.1.2). Its lowest 4 bits can have any value.
const SKIPPABLE_FRAME: u32 = 0x184D_2A50;

/// Returns the length in bytes of the frame at the start of `input`, if there is one. The
/// decoder needs it, because it accepts nothing after a frame.
pub(crate) fn frame_length(input: &[u8]) -> Option<usize> {
    let word = |at: usize| {
        let bytes = input.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let magic = word(0)?;
    if magic & !0xF == SKIPPABLE_FRAME {
        return (word(4)? as usize).checked_add(8);
    }
    // The first byte of the header says which fields follow (3.1.1.1). A frame that needs a
    // dictionary is corrupt: qcow2 has none.
    let descriptor = *input.get(4)?;
    if magic != FRAME || descriptor & 3 != 0 {
        return None;
    }
    let is_single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!is_single_segment);
    let content_size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        shift => 1 << shift,
    };
    let mut end = 5 + window + content_size;

    // The header of a block has three bytes (3.1.1.2): whether the block is the last one, its
    // type and its size. A block of type 1 repeats one byte, and holds only that.
    loop {
        let block = input.get(end..end.checked_add(3)?)?;
        let size =
            usize::from(block[0] >> 3) | usize::from(block[1]) << 5 | usize::from(block[2]) << 13;
        let is_run = block[0] >> 1 & 3 == 1;
        end += 3 + if is_run { 1 } else { size };
        if block[0] & 1 != 0 {
            break;
        }
    }
    let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
    Some(end + checksum)
}
