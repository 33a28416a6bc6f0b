//! Zeros among bytes, at the speed of memory.

/// Bytes that are looked at before it is decided whether to go on.
const BLOCK: usize = 128;

/// Whether all of `bytes` are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let is_zero = |block: &[u8; BLOCK]| words(block).fold(0, |all, word| all | word) == 0;
    blocks.iter().all(is_zero) && rest.iter().all(|&byte| byte == 0)
}

/// Whether two slices have the same bytes. (The C library of a static program compares byte by
/// byte.)
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (blocks, rest) = one.as_chunks::<BLOCK>();
    let (others, other_rest) = other.as_chunks::<BLOCK>();
    let is_same = |(one, other): (&[u8; BLOCK], &[u8; BLOCK])| {
        let differences = words(one).zip(words(other)).map(|(a, b)| a ^ b);
        differences.fold(0, |all, word| all | word) == 0
    };
    blocks.len() == others.len() && blocks.iter().zip(others).all(is_same) && rest == other_rest
}

/// A block as words, which compilers make a few wide instructions of.
fn words(block: &[u8; BLOCK]) -> impl Iterator<Item = u64> + '_ {
    let words = block.as_chunks().0;
    words.iter().map(|word| u64::from_ne_bytes(*word))
}

/// The parts of `bytes` that are not zero, as ranges, in steps of `step` bytes.
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
    fn one_byte_anywhere_is_not_zero_and_not_the_same() {
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
    fn ranges_of_data_are_whole_steps_but_for_the_last() {
        let mut bytes = vec![0; 1000];
        for at in [0, 130, 299, 999] {
            bytes[at] = 1;
        }
        assert_eq!(data_ranges(&bytes, 100), [0..300, 900..1000]);
        assert_eq!(data_ranges(&bytes[200..], 300), [0..300, 600..800]);
    }
}
