//! Bazel's manifests of runfiles.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Returns the real path of `name` in a manifest. A line is the runfiles path, a space and the
/// real path. If a line starts with a space, both paths have `\b` for a backslash and `\n` for
/// a newline, and the first has `\s` for a space (Bazel's `SourceManifestAction.java`).
pub fn lookup(content: &[u8], name: &str) -> Option<PathBuf> {
    let escaped = name
        .replace('\\', "\\b")
        .replace('\n', "\\n")
        .replace(' ', "\\s");
    let (plain, escaped) = (format!("{name} "), format!(" {escaped} "));
    let is_plain = !name.contains([' ', '\n']);
    content.split(|&byte| byte == b'\n').find_map(|line| {
        if let Some(path) = line.strip_prefix(escaped.as_bytes()) {
            return Some(unescaped(path).into());
        }
        let path = line.strip_prefix(plain.as_bytes()).filter(|_| is_plain)?;
        Some(OsStr::from_bytes(path).into())
    })
}

fn unescaped(path: &[u8]) -> OsString {
    let mut text = OsString::new();
    let mut parts = path.split(|&byte| byte == b'\\');
    text.push(OsStr::from_bytes(parts.next().unwrap_or_default()));
    for part in parts {
        text.push(if part.first() == Some(&b'n') {
            "\n"
        } else {
            "\\"
        });
        text.push(OsStr::from_bytes(part.get(1..).unwrap_or_default()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_bazel_writes_it() {
        let content = b"_main/a /x/a\n\
            _main/ab /x/a b\\n\n \
            _main/with\\sspace /x/with space\n \
            _main/back\\bslash\\nline /x/back\\bslash\\nline\n\
            _main/empty \n";
        for (name, path) in [
            ("_main/a", Some("/x/a")),
            ("_main/ab", Some("/x/a b\\n")),
            ("_main/with space", Some("/x/with space")),
            ("_main/back\\slash\nline", Some("/x/back\\slash\nline")),
            ("_main/empty", Some("")),
            ("_main/ab /x/a", None),
            ("_main", None),
            ("_main/with", None),
            ("a", None),
        ] {
            assert_eq!(lookup(content, name), path.map(PathBuf::from), "{name}");
        }
    }
}
