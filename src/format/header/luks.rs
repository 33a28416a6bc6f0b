//! The LUKS header of an encrypted image.

use std::io::{Read, Seek, SeekFrom};

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::error::Result;
use crate::format::format_error::{check_end, corrupt};
use crate::format::header::extension::Extension;
use crate::format::header::Header;

const MAGIC: [u8; 6] = *b"LUKS\xba\xbe";
/// Length of a header of version 1, the only one that QEMU knows, with its key slots.
const LENGTH: usize = 592;

/// Checks that an image whose `header` refers to a LUKS header has one. Its ciphers and key
/// slots are not checked.
pub(crate) fn check(reader: &mut (impl Read + Seek), header: &Header) -> Result<()> {
    let Some(extension) = header.extension(Extension::CRYPTO_HEADER) else {
        return Ok(());
    };
    let start = BE::read_u64(extension);
    let file_length = reader.seek(SeekFrom::End(0))?;
    check_end(
        "the LUKS header",
        start.saturating_add(LENGTH as u64),
        file_length,
    )?;
    let mut bytes = [0; 8];
    reader.seek(SeekFrom::Start(start))?;
    reader.read_exact(&mut bytes)?;
    let (magic, version) = (&bytes[..6], BE::read_u16(&bytes[6..]));
    if magic != MAGIC || version != 1 {
        return Ok(corrupt::<()>(
            "start of the LUKS header",
            BE::read_u64(&bytes),
        )?);
    }
    Ok(())
}
