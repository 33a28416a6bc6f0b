//! Backing file names, as QEMU reads them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Returns the protocol that QEMU would see in `name` (`nbd` in `nbd:host:1`): the part
/// before a `:` that no `/` precedes (`block.c:159`, `path_has_protocol`).
///
/// ```
/// use qcow2_overlay::protocol;
/// assert_eq!(protocol(b"json:{}"), Some(&b"json"[..]));
/// assert_eq!(protocol(b"./a:b.img"), None);
/// ```
pub fn protocol(name: &[u8]) -> Option<&[u8]> {
    let end = name.iter().position(|b| matches!(b, b':' | b'/'))?;
    (name[end] == b':').then_some(&name[..end])
}

/// Returns the path of the backing file that the image at `image` calls `name`: `name`
/// itself if it is absolute, else `name` in the directory of `image` as given. Symbolic
/// links are not followed (`block.c:354`, `bdrv_get_full_backing_filename`).
pub fn resolve(image: &Path, name: &[u8]) -> PathBuf {
    let name = Path::new(OsStr::from_bytes(name));
    image.parent().unwrap_or(Path::new("")).join(name)
}

/// Returns the part of a stored name up to the first NUL: QEMU reads it as a C string.
pub(crate) fn up_to_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}

/// Quotes `bytes` for a message: on one line, with bytes that are not UTF-8 marked.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_ends_at_a_colon_before_any_slash() {
        for (name, expected) in [
            (&b"nbd:host:1"[..], Some(&b"nbd"[..])),
            (b"json:{\"driver\":\"raw\"}", Some(b"json")),
            (b"file:node.img", Some(b"file")),
            (b"https://host/node.img", Some(b"https")),
            (b":", Some(b"")),
            (b"node.img", None),
            (b"./a:b", None),
            (b"/a:b", None),
            (b"a/b:c", None),
            (b"", None),
        ] {
            assert_eq!(protocol(name), expected);
        }
    }

    #[test]
    fn relative_names_are_resolved_against_the_directory_of_the_image() {
        let path = |image: &str, name: &[u8]| resolve(Path::new(image), name);
        assert_eq!(path("disk.qcow2", b"node.img"), Path::new("node.img"));
        assert_eq!(
            path("a/disk.qcow2", b"../b/node.img"),
            Path::new("a/../b/node.img")
        );
        assert_eq!(path("a/disk.qcow2", b"/node.img"), Path::new("/node.img"));
    }
}
