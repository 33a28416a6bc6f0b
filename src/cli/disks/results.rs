//! What becomes of the disks and copies of a command: all get their names, or none.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use qcow2_overlay::{check_target, rename_new, Existing, UnnamedFile};
use tempfile::TempPath;

use crate::cli::backing::directory;
use crate::cli::disks::copies::{copy_tree, Links};
use crate::cli::disks::names::Named;
use crate::cli::failure::usage;
use crate::cli::messages::cannot_write;

/// Something complete that does not have its name yet.
pub enum Complete {
    Image(UnnamedFile),
    /// A file or directory with another name on the same file system.
    Copy(PathBuf),
}

/// Gives each of `results` its name. If one cannot get it, those that have are removed, unless they
/// have replaced other files.
pub fn name_all(results: Vec<(&Path, Complete)>, existing: Existing) -> Result<()> {
    let mut named = Vec::new();
    for (path, complete) in results {
        if let Err(error) = name(path, complete, existing) {
            if existing == Existing::Keep {
                for path in named {
                    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
                }
            }
            return Err(error);
        }
        named.push(path);
    }
    Ok(())
}

fn name(path: &Path, complete: Complete, existing: Existing) -> Result<()> {
    match complete {
        Complete::Image(file) => file.name().map_err(|error| cannot_write(path, error)),
        Complete::Copy(from) => {
            let is_directory = from.is_dir();
            check_place(path, is_directory, existing)?;
            let named = if is_directory || existing == Existing::Replace {
                fs::rename(&from, path)
            } else {
                TempPath::try_from_path(from).and_then(|from| rename_new(from, path))
            };
            named.with_context(|| format!("cannot write {path:?}"))
        }
    }
}

/// A copy for a command, which may change it, and what the changed copy is to be called.
pub struct ChangedCopy<'a> {
    pub copy: &'a Named,
    pub path: &'a Path,
}

impl ChangedCopy<'_> {
    /// Checks that the original exists, and that `path` is free for what becomes of its copy.
    pub fn check(&self, existing: Existing) -> Result<()> {
        let (Named { name, path: from }, to) = (self.copy, self.path);
        let found = fs::metadata(from).with_context(|| format!("copy {name}: {from:?}"))?;
        check_place(to, found.is_dir(), existing)
    }

    /// Copies what the command has left in `place` to `stage`, a directory there.
    pub fn complete(&self, place: &Path, stage: &Path) -> Result<Complete> {
        let Named { name, path } = self.copy;
        let (left, to) = (place.join(name), stage.join(name));
        let about = || format!("the copy {name} after COMMAND");
        let found = fs::symlink_metadata(&left).with_context(about)?;
        if path.is_dir() && !found.is_dir() {
            bail!("{}: it is no longer a directory", about());
        }
        if !path.is_dir() && !found.is_file() {
            bail!("{}: it is no longer a regular file", about());
        }
        copy_tree(&left, &to, Links::Keep)?;
        Ok(Complete::Copy(to))
    }
}

/// Checks that a file can be written to `path`.
pub fn check_file(path: &Path, existing: Existing) -> Result<()> {
    check_target(path, existing).map_err(|error| cannot_write(path, error))?;
    Ok(())
}

/// Checks that `path` is free. Bazel makes directories before the action that fills them.
fn check_place(path: &Path, is_directory: bool, existing: Existing) -> Result<()> {
    if !is_directory {
        return check_file(path, existing);
    }
    let is_empty = || fs::read_dir(path).is_ok_and(|mut it| it.next().is_none());
    if path
        .symlink_metadata()
        .is_ok_and(|it| !it.is_dir() || !is_empty())
    {
        bail!("cannot write {path:?}: it exists and is not an empty directory");
    }
    Ok(())
}

/// Returns each of `given`, values of the option `option`, with the path that the option for its
/// output gives.
pub fn with_outputs<'a>(
    option: &str,
    given: &'a [Named],
    outputs: &'a [Named],
) -> Result<Vec<(&'a Named, &'a Path)>> {
    for output in outputs {
        let name = &output.name;
        if !given.iter().any(|it| it.name == *name) {
            return Err(usage(format!(
                "--{option}-output {name}: give --{option} {name}=... too"
            )));
        }
        if outputs.iter().filter(|it| it.name == *name).count() > 1 {
            return Err(usage(format!(
                "--{option}-output {name}: it is given twice"
            )));
        }
    }
    let output_of = |it: &'a Named| {
        let output = outputs.iter().find(|output| output.name == it.name);
        let name = &it.name;
        match output {
            Some(output) => Ok((it, &*output.path)),
            None => Err(usage(format!(
                "--{option} {name}: give --{option}-output {name}=... too"
            ))),
        }
    };
    given.iter().map(output_of).collect()
}

/// Checks that each output has a directory, and that no two are the same, under any name.
pub fn check_distinct(paths: &[&Path]) -> Result<()> {
    let mut places = Vec::new();
    for path in paths {
        if path.as_os_str() == OsStr::new("-") {
            return Err(usage(
                "FILE cannot be standard output, because it is not written in order: give a name",
            ));
        }
        let parent = directory(path).with_context(|| format!("cannot write {path:?}"))?;
        let place = (parent, path.file_name());
        if places.contains(&place) {
            return Err(usage(format!("{path:?} is given for two outputs")));
        }
        places.push(place);
    }
    Ok(())
}
