//! The LUKS header of an encrypted image.

use std::io::{self, Read, Seek, SeekFrom};

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::error::{check_end, corrupt};
use crate::format::extension::Extension;
use crate::format::header::Header;

const MAGIC: [u8; 6] = *b"LUKS\xba\xbe";
/// Bytes of a header of version 1, the only one QEMU knows, key slots included.
const LENGTH: usize = 592;

/// Checks that the LUKS header is one, if the image with `header` should have it. What it
/// says of ciphers and key slots is not read.
pub(crate) fn check(reader: &mut (impl Read + Seek), header: &Header) -> io::Result<()> {
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
