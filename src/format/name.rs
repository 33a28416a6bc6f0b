//! Backing file names, as QEMU reads them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Returns the protocol that QEMU would see in `name` (`nbd` in `nbd:host:1`): the part
/// before a `:` that no `/` precedes (`block.c:159`, `path_has_protocol`).
pub(crate) fn protocol(name: &[u8]) -> Option<&[u8]> {
    let end = name.iter().position(|b| matches!(b, b':' | b'/'))?;
    (name[end] == b':').then_some(&name[..end])
}

/// Returns the path of the backing file that the image at `image` calls `name`: `name`
/// itself if it is absolute, else `name` in the directory of `image` as given. Symbolic
/// links are not followed (`block.c:354`, `bdrv_get_full_backing_filename`). `None` if `name`
/// is not that of a file, but the address of a protocol.
///
/// ```
/// use std::path::Path;
/// use qcow2_overlay::backing_path;
/// let path = |name| backing_path(Path::new("vm/disk.qcow2"), name);
/// assert_eq!(path(b"node.img").as_deref(), Some(Path::new("vm/node.img")));
/// assert_eq!(path(b"nbd:host:1"), None);
/// ```
pub fn backing_path(image: &Path, name: &[u8]) -> Option<PathBuf> {
    if protocol(name).is_some() {
        return None;
    }
    let name = Path::new(OsStr::from_bytes(name));
    Some(image.parent().unwrap_or(Path::new("")).join(name))
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
        for (image, name, expected) in [
            ("disk.qcow2", "node.img", "node.img"),
            ("a/disk.qcow2", "../b/node.img", "a/../b/node.img"),
            ("a/disk.qcow2", "/node.img", "/node.img"),
        ] {
            let path = backing_path(Path::new(image), name.as_bytes());
            assert_eq!(path.as_deref(), Some(Path::new(expected)));
        }
    }
}
