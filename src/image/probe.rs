//! Opening image files, and detecting their format.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::format::error::{Error, Result};
use crate::format::format_error::FormatError;
use crate::format::image_format::{known_magic, Format, DMG, LUKS};
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
    match Format::detect(&read_start(file)?)? {
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
    match known_magic(&read_start(file)?) {
        None | Some(LUKS) => Ok(()),
        Some("qcow2") => Err(FormatError::NotRaw.into()),
        Some(format) => Err(FormatError::ForeignFormat(format).into()),
    }
}

/// Returns the error that `file`, which should be a qcow2 image, is none. Says what it is, if
/// that is known.
pub(crate) fn not_qcow2(file: &mut File) -> Error {
    let start = file.rewind().map_err(Error::from);
    match start.and_then(|()| read_start(file)) {
        Ok(start) => Format::detect(&start)
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
