//! Finding runfiles, as Bazel's own libraries do.
//!
//! The crate `runfiles` of rules_rust prefers a manifest to the directory. A manifest
//! leads out of the runfiles tree, where an executable does not find its own runfiles.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{self, Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::places::variable;

pub enum Runfiles {
    Directory {
        path: PathBuf,
        /// Whether the environment names it.
        is_announced: bool,
    },
    Manifest {
        path: PathBuf,
        content: Vec<u8>,
    },
}

impl Runfiles {
    /// Finds the runfiles of this process.
    pub fn find() -> Result<Self> {
        if env::var_os("RUNFILES_MANIFEST_ONLY").is_some_and(|value| value == "1") {
            let path = variable("RUNFILES_MANIFEST_FILE");
            return manifest(path.context("RUNFILES_MANIFEST_FILE is not set")?);
        }
        let announced = variable("RUNFILES_DIR").or_else(|| variable("TEST_SRCDIR"));
        if let Some(path) = announced {
            let path = absolute(&path);
            return Ok(Runfiles::Directory {
                path,
                is_announced: true,
            });
        }
        let beside = |suffix: &str| {
            let mut path = env::args_os().next().unwrap_or_default();
            path.push(suffix);
            absolute(Path::new(&path))
        };
        let path = beside(".runfiles");
        match path.is_dir() {
            true => Ok(Runfiles::Directory {
                path,
                is_announced: false,
            }),
            false => manifest(beside(".runfiles_manifest")),
        }
    }

    /// Returns the directory, if it was found by the name of this program alone.
    pub fn unannounced(&self) -> Option<&Path> {
        match self {
            Runfiles::Directory {
                path,
                is_announced: false,
            } => Some(path),
            _ => None,
        }
    }

    /// Returns the path of the file with the runfiles path `name`, such as
    /// `_main/vm/node.qcow2`.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let (place, found) = match self {
            Runfiles::Directory { path, .. } => (path, Some(path.join(name))),
            Runfiles::Manifest { path, content } => (path, in_manifest(content, name)),
        };
        found
            .filter(|path| path.exists())
            .with_context(|| format!("{name:?} is not in the runfiles {place:?}"))
    }
}

fn manifest(path: PathBuf) -> Result<Runfiles> {
    let content = fs::read(&path).with_context(|| format!("the manifest of runfiles {path:?}"))?;
    Ok(Runfiles::Manifest { path, content })
}

/// Makes a path absolute, without resolving symbolic links: their names are what counts.
fn absolute(path: &Path) -> PathBuf {
    path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Returns the real path of `name` in a manifest. A line is the runfiles path, a space and the
/// real path. If a line starts with a space, both paths have `\b` for a backslash and `\n` for
/// a newline, and the first has `\s` for a space (Bazel's `SourceManifestAction.java`).
fn in_manifest(content: &[u8], name: &str) -> Option<PathBuf> {
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
            assert_eq!(
                in_manifest(content, name),
                path.map(PathBuf::from),
                "{name}"
            );
        }
    }
}
