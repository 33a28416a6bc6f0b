//! The formats of images, by name.

use std::fmt;
use std::str::FromStr;

/// A format that a backing file can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The file's bytes are the disk's.
    Raw,
    /// Versions 2 and 3.
    Qcow2,
}

impl Format {
    /// QEMU's name of the format.
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

/// The name of a format that is a layer of encryption around a raw disk.
pub(crate) const LUKS: &str = "LUKS";
/// That of a format that only the name of a file tells.
pub(crate) const DMG: &str = "DMG";
