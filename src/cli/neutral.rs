//! Messages about an image that do not assume that it is a backing file.

use std::io;

use qcow2_overlay::Error;

/// Returns `error` without the library's advice, which is for backing files.
pub fn neutral(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::ForeignFormat(format)) => {
            io::Error::other(format!("it is a {format} image, neither raw nor qcow2"))
        }
        Some(Error::NotQcow2) => io::Error::other(
            "it is not a qcow2 image: if it is raw, give -f raw (in a BUILD file: src_format = \
             \"raw\")",
        ),
        _ => error,
    }
}
