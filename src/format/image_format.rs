//! Image formats and their names.

use std::fmt;
use std::str::FromStr;

/// A supported image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The bytes of the file are those of the disk.
    Raw,
    /// Version 2 or 3 of qcow2.
    Qcow2,
}

impl Format {
    /// Returns QEMU's name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "raw" => Ok(Format::Raw),
            "qcow2" => Ok(Format::Qcow2),
            _ => Err(format!("unknown format {name:?}: it is raw or qcow2")),
        }
    }
}

/// The name of an encryption format. A guest can encrypt a raw disk with it too.
pub(crate) const LUKS: &str = "LUKS";
/// The name of a format that QEMU recognizes only by the name of the file.
pub(crate) const DMG: &str = "DMG";
