//! Image formats: their names, and how their images begin.

use std::fmt;
use std::str::FromStr;

use crate::format::format_error::FormatError;
use crate::format::other_file::other_file;

/// A supported image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The bytes of the file are those of the disk.
    Raw,
    /// Version 2 or 3 of qcow2.
    Qcow2,
}

impl Format {
    /// Returns the format of an image that begins with `start`, its first 512 bytes.
    ///
    /// ```
    /// use qcow2_overlay::Format;
    /// assert_eq!(Format::detect(b"QFI\xfb\0\0\0\x03")?, Format::Qcow2);
    /// # Ok::<(), qcow2_overlay::FormatError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FormatError::ForeignFormat`] if that is neither raw nor qcow2, [`FormatError::OtherFile`]
    /// for a file that is not a disk image, such as an archive.
    pub fn detect(start: &[u8]) -> Result<Self, FormatError> {
        match (known_magic(start), other_file(start)) {
            (Some("qcow2"), _) => Ok(Format::Qcow2),
            (Some(format), _) => Err(FormatError::ForeignFormat(format)),
            (None, Some(found)) => Err(FormatError::OtherFile(found)),
            (None, None) => Ok(Format::Raw),
        }
    }

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

/// Returns the name of the format whose images begin like `start`; none means raw.
pub(crate) fn known_magic(start: &[u8]) -> Option<&'static str> {
    let has = |offset: usize, magic: &[u8]| {
        let found = start.get(offset..offset + magic.len());
        found == Some(magic)
    };
    // Offsets and bytes from the probe functions in QEMU's block/*.c.
    let formats = [
        (0, &b"QFI\xfb\0\0\0\x01"[..], "qcow (version 1)"),
        (0, b"KDMV", "VMDK"),
        (0, b"COWD", "VMDK"),
        (0, b"# Disk DescriptorFile", "VMDK"),
        (64, b"\x7f\x10\xda\xbe", "VDI"),
        (0, b"vhdxfile", "VHDX"),
        (0, b"conectix", "VHD"),
        (0, b"QED\0", "QED"),
        (0, b"LUKS\xba\xbe", LUKS),
        (0, b"WithoutFreeSpace", "Parallels"),
        (0, b"WithouFreSpacExt", "Parallels"),
        (0, b"Bochs Virtual HD Image", "Bochs"),
        (0, b"#!/bin/sh\n#V2.0 Format\n", "cloop"),
        (0, b"QFI\xfb", "qcow2"),
    ];
    let found = formats.into_iter().find(|&(at, magic, _)| has(at, magic));
    let found = found.map(|(.., format)| format);
    found.or_else(|| is_vmdk_descriptor(start).then_some("VMDK"))
}

/// Returns whether the first line that is neither blank nor a comment gives a version
/// (`block/vmdk.c`, `vmdk_probe`).
fn is_vmdk_descriptor(start: &[u8]) -> bool {
    let mut lines = start.split_inclusive(|&byte| byte == b'\n');
    let line = lines.find(|line| !line.starts_with(b"#") && !line.trim_ascii().is_empty());
    line.is_some_and(|line| {
        let is_whole = line.ends_with(b"\n");
        is_whole
            && matches!(
                line.trim_ascii_end(),
                b"version=1" | b"version=2" | b"version=3"
            )
    })
}
