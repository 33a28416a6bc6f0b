//! Opening image files, and detecting their format from the first bytes.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::format::error::{Error, Result};
use crate::format::format_error::FormatError;
use crate::format::image_format::{Format, DMG, LUKS};
use crate::format::other_file::other_file;
use crate::format::size::SECTOR;

/// Opens a regular file or a block device. A named pipe would block, and a directory would
/// cause obscure errors later.
pub(crate) fn open(path: &Path) -> Result<File> {
    use std::os::unix::fs::FileTypeExt;

    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() || kind.is_block_device() {
        Ok(File::open(path)?)
    } else if kind.is_dir() {
        Err(Error::Directory)
    } else {
        Err(Error::SpecialFile)
    }
}

/// Detects the format of `file`, which is at `path`, from its content. Leaves it at its
/// start.
pub(crate) fn detect(file: &mut File, path: &Path) -> Result<Format> {
    match detect_start(&read_start(file)?)? {
        // QEMU recognizes these by their name alone (`block/dmg.c`, `dmg_probe`).
        Format::Raw if path.extension().is_some_and(|end| end == "dmg") => {
            Err(FormatError::ForeignFormat(DMG).into())
        }
        format => Ok(format),
    }
}

/// Checks that `file` can be a raw image. It can begin with a LUKS header: a guest writes
/// that when it encrypts a whole disk.
pub(crate) fn check_raw(file: &mut File) -> Result<()> {
    match magic(&read_start(file)?) {
        None | Some(LUKS) => Ok(()),
        Some("qcow2") => Err(FormatError::NotRaw.into()),
        Some(format) => Err(FormatError::ForeignFormat(format).into()),
    }
}

/// Returns the format of an image that begins with `start`, its first 512 bytes.
///
/// # Errors
///
/// [`FormatError::ForeignFormat`] if that is neither raw nor qcow2, [`FormatError::OtherFile`] for a file that
/// is no disk image, such as an archive.
pub fn detect_start(start: &[u8]) -> std::result::Result<Format, FormatError> {
    match (magic(start), other_file(start)) {
        (Some("qcow2"), _) => Ok(Format::Qcow2),
        (Some(format), _) => Err(FormatError::ForeignFormat(format)),
        (None, Some(found)) => Err(FormatError::OtherFile(found)),
        (None, None) => Ok(Format::Raw),
    }
}

/// Returns the error that `file`, which should be a qcow2 image, is none. Says what it is, if
/// that is known.
pub(crate) fn not_qcow2(file: &mut File) -> Error {
    let start = file.rewind().map_err(Error::from);
    match start.and_then(|()| read_start(file)) {
        Ok(start) => detect_start(&start)
            .err()
            .unwrap_or(FormatError::NotQcow2)
            .into(),
        Err(error) => error,
    }
}

/// Reads the first 512 bytes of `file`, and leaves it at its start.
fn read_start(file: &mut File) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(SECTOR).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start)
}

/// Returns the name of the format whose images begin like `start`; none means raw.
fn magic(start: &[u8]) -> Option<&'static str> {
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
