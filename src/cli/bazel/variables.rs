//! Paths from environment variables, and new directories.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Returns an environment variable, if it is set and not empty.
pub fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

pub fn make_directory(builder: &tempfile::Builder, parent: &Path) -> Result<TempDir> {
    let made = builder.tempdir_in(parent);
    made.context("cannot make a directory for the disks")
}
