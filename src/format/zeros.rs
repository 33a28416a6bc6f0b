//! Comparing bytes, and finding zeros, at the speed of memory.

/// Number of bytes that are compared between two decisions whether to go on.
const BLOCK: usize = 128;

/// Returns whether all of `bytes` are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let is_zero = |block: &[u8; BLOCK]| words(block).fold(0, |all, word| all | word) == 0;
    blocks.iter().all(is_zero) && rest.iter().all(|&byte| byte == 0)
}

/// Returns whether two slices have the same bytes. `==` would use the C library, which in a
/// static program compares byte by byte.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (blocks, rest) = one.as_chunks::<BLOCK>();
    let (others, other_rest) = other.as_chunks::<BLOCK>();
    let is_same = |(one, other): (&[u8; BLOCK], &[u8; BLOCK])| {
        let differences = words(one).zip(words(other)).map(|(a, b)| a ^ b);
        differences.fold(0, |all, word| all | word) == 0
    };
    blocks.len() == others.len() && blocks.iter().zip(others).all(is_same) && rest == other_rest
}

/// Returns the words of a block, which compilers turn into a few wide instructions.
fn words(block: &[u8; BLOCK]) -> impl Iterator<Item = u64> + '_ {
    let words = block.as_chunks().0;
    words.iter().map(|word| u64::from_ne_bytes(*word))
}

/// Returns the ranges of `bytes` that are not zero, in steps of `step` bytes.
pub(crate) fn data_ranges(bytes: &[u8], step: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, block) in bytes.chunks(step).enumerate() {
        if is_zero(block) {
            continue;
        }
        let start = index * step;
        let end = start + block.len();
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_different_byte_is_found_anywhere() {
        for length in [1, 127, 128, 129, 512, 1000] {
            let zeros = vec![0; length];
            assert!(is_zero(&zeros) && is_same(&zeros, &zeros.clone()));
            for at in 0..length {
                let mut bytes = zeros.clone();
                bytes[at] = 0x80;
                assert!(!is_zero(&bytes) && !is_same(&bytes, &zeros), "{at}");
            }
        }
        assert!(is_zero(&[]) && !is_same(&[0], &[]));
    }

    #[test]
    fn ranges_of_data_are_whole_steps_except_at_the_end() {
        let mut bytes = vec![0; 1000];
        for at in [0, 130, 299, 999] {
            bytes[at] = 1;
        }
        assert_eq!(data_ranges(&bytes, 100), [0..300, 900..1000]);
        assert_eq!(data_ranges(&bytes[200..], 300), [0..300, 600..800]);
    }
}
