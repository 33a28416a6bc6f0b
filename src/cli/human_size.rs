//! Sizes as `qemu-img` prints them.

/// Formats a number of bytes as `qemu-img info` does: with three significant
/// digits and a binary unit (QEMU `util/cutils.c`, `size_to_str`).
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    // The next unit begins at 1000 of the one below, not at 1024.
    while unit + 1 < UNITS.len() && bytes as f64 / 1024f64.powi(unit as i32) >= 1000.0 {
        unit += 1;
    }
    let value = bytes as f64 / 1024f64.powi(unit as i32);
    let decimals = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        _ => 3,
    };
    let digits = format!("{value:.decimals$}");
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        &digits
    };
    format!("{digits} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_sizes_like_qemu_img() {
        for (bytes, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (999, "999 B"),
            (1000, "0.977 KiB"),
            (10_240, "10 KiB"),
            (123_457_024, "118 MiB"),
            (65536, "64 KiB"),
            (196_624, "192 KiB"),
            (1_610_612_736, "1.5 GiB"),
            (1 << 50, "1 PiB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }
}
