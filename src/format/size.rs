//! Sizes as people write them: `512`, `64K`, `1.5G`.

use crate::format::format_error::FormatError;

/// The unit of disk sizes: 512 bytes. A size that is not a multiple of it is rounded up,
/// as `qemu-img create` does.
pub const SECTOR: u64 = 512;

/// Parses a size, and returns it in bytes. The grammar is that of `qemu-img`
/// (QEMU `util/cutils.c`, `do_strtosz_full`): decimal digits with an optional
/// fraction and an optional suffix `b`, `K`, `M`, `G`, `T`, `P` or `E` (powers of 1024,
/// either case), or a hexadecimal number of bytes (`0x…`). White space may precede it.
/// The size is rounded to the nearest byte.
///
/// # Errors
///
/// [`FormatError::InvalidSize`] for anything else. That includes a sign, which `qemu-img create`
/// ignores: to `qemu-img resize`, `+10G` means "10G more".
/// [`FormatError::HugeSize`] for more than 9223372036854775807 (2^63 - 1) bytes, the largest
/// size QEMU knows.
///
/// ```
/// use qcow2_overlay::parse_size;
/// assert_eq!(parse_size("64K")?, 65536);
/// assert_eq!(parse_size("1.5G")?, 1_610_612_736);
/// assert!(parse_size("10 gigs").is_err());
/// # Ok::<(), qcow2_overlay::Error>(())
/// ```
pub fn parse_size(text: &str) -> Result<u64, FormatError> {
    match read(text) {
        None => Err(FormatError::InvalidSize(text.to_owned())),
        Some(bytes) if bytes > i64::MAX as u128 => Err(FormatError::HugeSize(text.to_owned())),
        Some(bytes) => Ok(bytes as u64),
    }
}

/// Further digits after the point cannot change a result by a byte.
const MAX_FRACTION_DIGITS: usize = 18;

/// Returns the number of bytes, or the largest 128-bit number if it is larger than that.
fn read(text: &str) -> Option<u128> {
    // QEMU parses the digits with strtoull, which skips these.
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    if let Some(hex) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        let is_hex = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        return is_hex.then(|| u128::from_str_radix(hex, 16).unwrap_or(u128::MAX));
    }
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u128 = match &text[number.len()..] {
        "" | "b" | "B" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        "p" | "P" => 1 << 50,
        "e" | "E" => 1 << 60,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    if unit == 1 && fraction.bytes().any(|digit| digit != b'0') {
        return None; // a part of a byte
    }
    let fraction = &fraction[..fraction.len().min(MAX_FRACTION_DIGITS)];
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().unwrap_or(u128::MAX)
    };
    let scale = 10u128.pow(fraction.len() as u32);
    let part: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let rest = (part * unit + scale / 2) / scale;
    Some(whole.saturating_mul(unit).saturating_add(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_qemu_img_accepts() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512b", 512),
            ("1k", 1024),
            ("64K", 65536),
            ("1.5G", 3 << 29),
            (".5K", 512),
            ("1.G", 1 << 30),
            ("0.1K", 102),
            ("0.5004K", 512),
            ("0.5006K", 513),
            ("7E", 7 << 60),
            ("0x200", 512),
            (" \t5", 5),
            ("5.", 5),
            ("5.00b", 5),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "G",
            ".",
            ".G",
            "1.5",
            "1.5b",
            "+",
            "+5",
            "+10G",
            "5 ",
            "1KB",
            "1KiB",
            "1 G",
            "-1",
            "1e3",
            "0x10K",
            "0x",
            "1..5G",
            "ten",
            "1\u{0661}",
        ] {
            let error = FormatError::InvalidSize(text.to_owned());
            assert_eq!(parse_size(text), Err(error));
        }
    }

    #[test]
    fn refuses_sizes_above_the_limit_of_qemu() {
        let digits = "9".repeat(44);
        for text in [
            "8E",
            "9223372036854775808",
            "0xffffffffffffffff",
            &digits,
            &format!("0x{digits}"),
            &format!("{digits}E"),
        ] {
            let error = FormatError::HugeSize(text.to_owned());
            assert_eq!(parse_size(text), Err(error));
        }
    }
}
