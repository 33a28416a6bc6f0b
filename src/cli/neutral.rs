//! Messages about an image that do not assume that it is a backing file.

use std::io;

use qcow2_overlay::Error;

/// Returns `error` without the library's advice, which is for backing files.
pub fn neutral(error: io::Error) -> io::Error {
    match inner(&error) {
        Some(Error::ForeignFormat(format)) => {
            io::Error::other(format!("it is a {format} image, neither raw nor qcow2"))
        }
        Some(Error::OtherFile(found)) => io::Error::other(found.to_string()),
        _ => error,
    }
}

/// Returns `error` with advice for the source of a conversion.
pub fn about_source(error: io::Error) -> io::Error {
    const RAW: &str = "give -f raw (in a BUILD file: src_format = \"raw\")";
    match inner(&error) {
        Some(Error::OtherFile(found)) => io::Error::other(format!(
            "{found}; if its bytes themselves are the disk, {RAW}"
        )),
        Some(Error::NotQcow2) => {
            io::Error::other(format!("it is not a qcow2 image: if it is raw, {RAW}"))
        }
        _ => neutral(error),
    }
}

fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
