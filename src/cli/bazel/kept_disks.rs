//! Keeping the disks and copies of a test in the directory for its undeclared outputs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use qcow2_overlay::{copy_sparse, write_file, Existing};

use crate::cli::bazel::environment::variable;
use crate::cli::bazel::kept_note::write_note;
use crate::cli::disks::copies::{copy_tree, Links};
use crate::cli::disks::fresh_disks::Disk;
use crate::cli::disks::place::Place;
use crate::cli::messages::say;

const OUTPUTS: &str = "TEST_UNDECLARED_OUTPUTS_DIR";

/// When disks are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Never,
    OnFailure,
    Always,
}

impl Keep {
    /// The names, as the rule `qcow2_test` spells them.
    pub const NAMES: [&'static str; 3] = ["never", "on_failure", "always"];

    pub fn named(name: &str) -> Option<Self> {
        let index = Self::NAMES.iter().position(|known| *known == name)?;
        Some([Keep::Never, Keep::OnFailure, Keep::Always][index])
    }
}

/// As what disks are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAs {
    Overlay,
    Image,
}

impl KeepAs {
    /// The names, as the rule `qcow2_test` spells them.
    pub const NAMES: [&'static str; 2] = ["overlay", "image"];

    pub fn named(name: &str) -> Option<Self> {
        let index = Self::NAMES.iter().position(|known| *known == name)?;
        Some([KeepAs::Overlay, KeepAs::Image][index])
    }
}

/// Returns the directory for the undeclared outputs of the test.
pub fn outputs() -> Result<PathBuf> {
    variable(OUTPUTS).with_context(|| {
        format!("disks are kept in the directory {OUTPUTS}, which is not set; bazel test sets it")
    })
}

/// Creates the directory `disks` in `outputs`, or the first of `disks.2`, `disks.3`, ... that
/// is free, because a test can run several commands. It is removed when it is dropped.
pub fn directory(outputs: &Path) -> Result<Place> {
    // Other users may read the outputs of a test, as far as the umask allows.
    let permissions = fs::Permissions::from_mode(0o777);
    let mut name = "disks".to_owned();
    let mut number = 1;
    loop {
        let mut builder = tempfile::Builder::new();
        builder.prefix(&name).rand_bytes(0);
        match Place::new(builder.permissions(permissions.clone()), outputs) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                name = format!("disks.{number}");
            }
            made => return made.context("cannot make a directory for the disks"),
        }
    }
}

/// The disks and copies of a command.
pub struct Made {
    pub disks: Vec<Disk>,
    pub copies: Vec<PathBuf>,
}

/// Moves the disks, with a README.txt, and the copies to `outputs`, and says where they are. Each
/// is worth keeping even if another, or the README.txt, cannot be written. Returns the disks, with
/// their new paths.
pub fn move_all(outputs: &Path, mut made: Made) -> Result<Vec<Disk>> {
    let mut directory = directory(outputs)?;
    let mut problems = Vec::new();
    let mut is_done = |moved: Result<()>| moved.map_err(|error| problems.push(error)).is_ok();
    made.disks
        .retain_mut(|disk| is_done(move_disk(disk, directory.path())));
    made.copies
        .retain(|copy| is_done(move_copy(copy, directory.path())));
    if !made.disks.is_empty() || !made.copies.is_empty() {
        directory.keep();
        // Not earlier: on a full file system only a move succeeds.
        problems.extend(write_note(directory.path(), &made.disks, Existing::Keep).err());
        say_where(directory.path(), &made);
    }
    for problem in problems {
        say(&format!("{problem:#}"));
    }
    Ok(made.disks)
}

fn move_disk(disk: &mut Disk, directory: &Path) -> Result<()> {
    let to = directory.join(format!("{}.qcow2", disk.name));
    let moved = fs::rename(&disk.path, &to).or_else(|_| copy(&disk.path, &to));
    moved.with_context(|| format!("cannot keep {:?} as {to:?}", disk.path))?;
    disk.path = to;
    Ok(())
}

fn move_copy(from: &Path, directory: &Path) -> Result<()> {
    let to = directory.join(from.file_name().unwrap_or_default());
    let moved = fs::rename(from, &to).or_else(|_| copy_tree(from, &to, Links::Keep));
    moved.with_context(|| format!("cannot keep {from:?} as {to:?}"))
}

/// Says in the log of the test where its disks and copies are.
pub fn say_where(directory: &Path, made: &Made) {
    let what = match (made.disks.is_empty(), made.copies.is_empty()) {
        (false, true) => "disks",
        (true, false) => "copies",
        _ => "disks and copies",
    };
    say(&format!("the {what} are kept in {}", place(directory)));
}

/// Returns where a directory of outputs is found after the test. Its sandbox, or its remote
/// worker, is gone then: Bazel has moved the outputs to `bazel-out`. (The link `bazel-testlogs`
/// leads to the logs of one configuration only.) No variable tells the test whether Bazel zips
/// the outputs, nor whether this is an attempt after which Bazel tries again: it then renames
/// all outputs (Bazel's `StandaloneTestStrategy.java`, `renameOutputs`).
fn place(directory: &Path) -> String {
    let parts: Vec<&OsStr> = directory.iter().collect();
    let is_root = |part: &[&OsStr]| part[0] == "bazel-out" && part[2] == "testlogs";
    match parts.windows(3).position(is_root) {
        Some(start) => format!(
            "{}; if Bazel retries the test, in test_attempts/attempt_N.outputs; if it zips \
             outputs, in outputs.zip there",
            PathBuf::from_iter(&parts[start..]).display()
        ),
        None => directory.display().to_string(),
    }
}

/// Copies a disk to another file system.
fn copy(from: &Path, to: &Path) -> qcow2_overlay::Result<()> {
    // A command can have put anything there. A named pipe would block.
    if !fs::metadata(from)?.is_file() {
        return Err(io::Error::other("it is not a regular file").into());
    }
    let from = File::open(from)?;
    write_file(to, Existing::Keep, |to| Ok(copy_sparse(&from, to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_found_where_bazel_puts_them() {
        for (directory, expected) in [
            (
                "/cache/sandbox/linux-sandbox/7/execroot/_main/bazel-out/k8-opt/testlogs/vm/t\
                 /run_1_of_2/test.outputs/disks",
                "bazel-out/k8-opt/testlogs/vm/t/run_1_of_2/test.outputs/disks; if Bazel retries \
                 the test, in test_attempts/attempt_N.outputs; if it zips outputs, in \
                 outputs.zip there",
            ),
            ("/tmp/outputs/disks", "/tmp/outputs/disks"),
            (
                "/tmp/testlogs/bazel-out/disks",
                "/tmp/testlogs/bazel-out/disks",
            ),
        ] {
            assert_eq!(place(Path::new(directory)), expected);
        }
    }
}
