//! The types of compression.

use std::fmt;
use std::str::FromStr;

/// How the compressed clusters of an image are compressed: `compression_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionType {
    /// Deflate. Any reader knows it.
    #[default]
    Zlib = 0,
    /// Zstandard: faster, and smaller. Version 3 only.
    Zstd = 1,
}

impl CompressionType {
    /// Returns the name that QEMU gives it.
    pub fn name(self) -> &'static str {
        match self {
            CompressionType::Zlib => "zlib",
            CompressionType::Zstd => "zstd",
        }
    }
}

impl fmt::Display for CompressionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CompressionType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "zlib" => Ok(CompressionType::Zlib),
            "zstd" => Ok(CompressionType::Zstd),
            _ => Err(format!("{name:?} is neither zlib nor zstd")),
        }
    }
}
