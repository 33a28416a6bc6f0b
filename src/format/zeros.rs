//! Zeros among bytes, at the speed of memory.

/// Whether all of `bytes` are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Blocks large enough for the compiler's widest instructions, small enough to stop early.
    let mut blocks = bytes.chunks_exact(128);
    blocks.all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
        && blocks.remainder().iter().all(|&byte| byte == 0)
}

/// Whether two slices of one length are the same. (The C library of a static program compares
/// byte by byte.)
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let pairs = one.chunks(128).zip(other.chunks(128));
    one.len() == other.len()
        && pairs.into_iter().all(|(one, other)| {
            let differences = one.iter().zip(other).map(|(a, b)| a ^ b);
            differences.fold(0, |all, byte| all | byte) == 0
        })
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
