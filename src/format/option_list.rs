//! Options as `qemu-img` takes them after `-o`: `cluster_size=64K,compat=1.1`.

use crate::format::compression::compression_type::CompressionType;
use crate::format::format_error::FormatError;
use crate::format::header::Version;
use crate::format::image_format::Format;
use crate::format::options::Options;
use crate::format::size::parse_size;

/// The options of one or more `-o` lists.
///
/// ```
/// use qcow2_overlay::OptionList;
/// let mut list = OptionList::default();
/// list.add(b"cluster_size=2M,backing_file=a,,b.img")?;
/// assert_eq!(list.backing_file.as_deref(), Some(&b"a,b.img"[..]));
/// let options = list.options();
/// # Ok::<(), qcow2_overlay::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionList {
    /// `size`, in bytes.
    pub size: Option<u64>,
    /// `backing_file`, as it is to be stored.
    pub backing_file: Option<Vec<u8>>,
    /// `backing_fmt`.
    pub backing_format: Option<Format>,
    version: Option<Version>,
    cluster_size: Option<u64>,
    refcount_bits: Option<u64>,
    lazy_refcounts: Option<bool>,
    extended_l2: Option<bool>,
    compression_type: Option<CompressionType>,
}

impl OptionList {
    /// Adds the options of `list`, which are separated by commas; a doubled comma stands
    /// for a comma in a value (QEMU `util/qemu-option.c`, `get_opt_value`). If an option
    /// that describes the format is given more than once, the last one counts.
    ///
    /// # Errors
    ///
    /// [`FormatError::InvalidOption`] for an unknown option, an invalid value, and a second
    /// `size`, `backing_file` or `backing_fmt`.
    pub fn add(&mut self, list: &[u8]) -> Result<(), FormatError> {
        split(list).iter().try_for_each(|option| self.set(option))
    }

    /// Returns the options of an image without its backing file. Without `size`, they have no
    /// size.
    pub fn options(&self) -> Options {
        let mut options = Options::default();
        options.virtual_size = self.size;
        options.version = self.version.unwrap_or(options.version);
        options.cluster_size = self.cluster_size.unwrap_or(options.cluster_size);
        options.refcount_bits = self.refcount_bits.unwrap_or(options.refcount_bits);
        options.lazy_refcounts = self.lazy_refcounts.unwrap_or(options.lazy_refcounts);
        options.extended_l2 = self.extended_l2.unwrap_or(options.extended_l2);
        options.compression_type = self.compression_type.unwrap_or(options.compression_type);
        options
    }

    fn set(&mut self, option: &[u8]) -> Result<(), FormatError> {
        let text = String::from_utf8_lossy(option);
        let invalid = |name: &str, problem: String| FormatError::InvalidOption {
            name: name.to_owned(),
            problem,
        };
        let Some((name, value)) = text.split_once('=').or_else(|| bare(&text)) else {
            return Err(invalid(&text, "write it as NAME=VALUE".to_owned()));
        };
        let wrong = |problem: String| invalid(name, problem);
        let size = || parse_size(value).map_err(|e| wrong(e.to_string()));
        let number = |value: &str| {
            let number = parse_number(value);
            number.ok_or_else(|| wrong(format!("{value:?} is not a number")))
        };
        let switch = || match value {
            "on" | "yes" | "true" | "y" => Ok(true),
            "off" | "no" | "false" | "n" => Ok(false),
            _ => Err(wrong(format!("{value:?} is neither on nor off"))),
        };
        let once = |is_set: bool| {
            if is_set {
                Err(wrong("it is given twice".to_owned()))
            } else {
                Ok(())
            }
        };
        match name {
            "compat" => {
                self.version = Some(match value {
                    "0.10" | "v2" => Version::V2,
                    "1.1" | "v3" => Version::V3,
                    _ => {
                        let problem = format!("{value:?} is neither 1.1 (v3) nor 0.10 (v2)");
                        return Err(wrong(problem));
                    }
                });
            }
            "cluster_size" => self.cluster_size = Some(size()?),
            "refcount_bits" => self.refcount_bits = Some(number(value)?),
            "lazy_refcounts" => self.lazy_refcounts = Some(switch()?),
            "extended_l2" => self.extended_l2 = Some(switch()?),
            "compression_type" => self.compression_type = Some(value.parse().map_err(wrong)?),
            "size" => {
                once(self.size.is_some())?;
                self.size = Some(size()?);
            }
            "backing_file" => {
                once(self.backing_file.is_some())?;
                self.backing_file = Some(option[name.len() + 1..].to_vec());
            }
            "backing_fmt" => {
                once(self.backing_format.is_some())?;
                self.backing_format = Some(value.parse().map_err(wrong)?);
            }
            _ => {
                return Err(wrong(
                    "there is no such option, only compat, cluster_size, refcount_bits, \
                     lazy_refcounts, extended_l2, compression_type, backing_file, backing_fmt \
                     and size"
                        .to_owned(),
                ))
            }
        }
        Ok(())
    }
}

/// Returns the name and the value of a switch that is given without a value: it is on, or
/// off after `no` (QEMU `util/qemu-option.c`, `get_opt_name_value`).
fn bare(text: &str) -> Option<(&str, &str)> {
    let is_switch = |name: &str| matches!(name, "lazy_refcounts" | "extended_l2");
    match text.strip_prefix("no") {
        Some(name) if is_switch(name) => Some((name, "off")),
        _ => is_switch(text).then_some((text, "on")),
    }
}

/// Parses a number as C does: hexadecimal after `0x`, octal after `0`.
fn parse_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let is_plain = !digits.starts_with('+');
    is_plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

/// Splits a list at its commas, and replaces doubled commas by one.
fn split(list: &[u8]) -> Vec<Vec<u8>> {
    let mut options = vec![Vec::new()];
    let mut bytes = list.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if byte == b',' && bytes.next_if_eq(&&b',').is_none() {
            options.push(Vec::new());
        } else if let Some(option) = options.last_mut() {
            option.push(byte);
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &str) -> Result<Options, FormatError> {
        let mut options = OptionList::default();
        options.add(list.as_bytes())?;
        Ok(options.options().virtual_size(0))
    }

    #[test]
    fn a_switch_needs_no_value() {
        let on = Options::new(0).lazy_refcounts(true).extended_l2(true);
        assert_eq!(options("lazy_refcounts,extended_l2"), Ok(on));
        let off = options("lazy_refcounts,nolazy_refcounts");
        assert_eq!(off, Ok(Options::new(0)));
        for list in ["compat", "refcount_bits", "nocompat", "no", ""] {
            assert!(options(list).is_err(), "{list:?}");
        }
    }

    #[test]
    fn numbers_are_written_as_in_c() {
        for (text, bits) in [("16", 16), ("0x10", 16), ("0X40", 64), ("020", 16)] {
            let expected = Ok(Options::new(0).refcount_bits(bits));
            assert_eq!(options(&format!("refcount_bits={text}")), expected);
        }
        for text in ["", "0x", "08", "+8", "0x+8", "-8", "8 ", "0b1"] {
            let list = format!("refcount_bits={text}");
            assert!(options(&list).is_err(), "{list:?}");
        }
    }
}
