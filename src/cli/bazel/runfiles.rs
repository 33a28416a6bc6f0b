//! Finding the runfiles of a test.
//!
//! Bazel's libraries look into the same places, each in an order of its own. This program takes
//! the first place that has the executable of the test. A directory comes before a manifest,
//! because a manifest leads out of the runfiles tree, where an executable does not find its own
//! runfiles. `RUNFILES_MANIFEST_ONLY` decides nothing: with `--noenable_runfiles` Bazel sets it
//! in a sandbox too, where the directory is complete and there is no manifest
//! (<https://github.com/bazelbuild/bazel/issues/7994>).

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{self, Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::cli::bazel::environment::variable;
use crate::cli::bazel::manifest;

const DIRECTORY: &str = "RUNFILES_DIR";
const MANIFEST: &str = "RUNFILES_MANIFEST_FILE";
const MANIFEST_ONLY: &str = "RUNFILES_MANIFEST_ONLY";

/// A place of runfiles.
pub enum Runfiles {
    Directory(PathBuf),
    Manifest { path: PathBuf, content: Vec<u8> },
}

impl Runfiles {
    /// Finds the runfiles of this process: those that have the file `name`.
    pub fn find(name: &str) -> Result<Self> {
        let program = env::args_os().next().unwrap_or_default();
        Self::find_with(name, variable, &program)
    }

    fn find_with(
        name: &str,
        variable: impl Fn(&str) -> Option<PathBuf>,
        program: &OsStr,
    ) -> Result<Self> {
        let beside = |suffix: &str| {
            let mut path = program.to_owned();
            path.push(suffix);
            Some(PathBuf::from(path))
        };
        let places = [
            variable(DIRECTORY),
            variable("TEST_SRCDIR"),
            variable(MANIFEST),
            beside(".runfiles"),
            beside(".runfiles_manifest"),
            beside(".runfiles/MANIFEST"),
        ];
        let mut without = Vec::new();
        for path in places.into_iter().flatten() {
            match Self::at(&path)? {
                Some(runfiles) if runfiles.get(name).is_some() => return Ok(runfiles),
                Some(_) => without.push(format!("{path:?}")),
                None => {}
            }
        }
        without.dedup();
        if without.is_empty() {
            bail!("{program:?} has no runfiles: run it with bazel test, which sets {DIRECTORY}");
        }
        bail!("{name:?} is not in the runfiles {}", without.join(" or "));
    }

    /// Returns the runfiles at a path: a directory, or the file that is a manifest.
    fn at(path: &Path) -> Result<Option<Self>> {
        // Symbolic links are not resolved: their names are what counts.
        let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if path.is_dir() {
            return Ok(Some(Runfiles::Directory(path)));
        }
        if !path.is_file() {
            return Ok(None);
        }
        let content =
            fs::read(&path).with_context(|| format!("the manifest of runfiles {path:?}"))?;
        Ok(Some(Runfiles::Manifest { path, content }))
    }

    /// Returns the path of the file with the runfiles path `name`, such as
    /// `_main/vm/node.qcow2`.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let (Runfiles::Directory(place) | Runfiles::Manifest { path: place, .. }) = self;
        self.get(name)
            .with_context(|| format!("{name:?} is not in the runfiles {place:?}"))
    }

    fn get(&self, name: &str) -> Option<PathBuf> {
        let found = match self {
            Runfiles::Directory(path) => path.join(name),
            Runfiles::Manifest { content, .. } => manifest::lookup(content, name)?,
        };
        found.exists().then_some(found)
    }

    /// Tells a command where its runfiles are. It looks for them as its language does, so a
    /// directory must be the only place that it is told of.
    pub fn announce(&self, command: &mut Command) {
        match self {
            Runfiles::Directory(path) => command
                .env(DIRECTORY, path)
                .env_remove(MANIFEST)
                .env_remove(MANIFEST_ONLY),
            Runfiles::Manifest { path, .. } => command.env(MANIFEST, path),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use super::*;

    /// Returns a directory with the runfile `_main/x` in several places. Manifests lead to `real`.
    fn places() -> tempfile::TempDir {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name);
        let manifest = format!("_main/x {}\n", path("real").display());
        for (name, content) in [
            ("real", ""),
            ("full/_main/x", ""),
            ("bare/MANIFEST", &manifest),
            ("manifest", &manifest),
            ("other", "_main/y /y\n"),
            ("t.runfiles/_main/x", ""),
            ("both.runfiles/_main/x", ""),
            ("both.runfiles/MANIFEST", &manifest),
            ("both.runfiles_manifest", &manifest),
            ("listed.runfiles_manifest", &manifest),
            ("bare.runfiles/MANIFEST", &manifest),
        ] {
            let path = path(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
            fs::write(path, content).expect("write");
        }
        dir
    }

    /// Returns the path of `_main/x` for a program in `dir`, and the variables that a command then
    /// gets. All paths are relative to `dir`; ONLY stands for RUNFILES_MANIFEST_ONLY=1.
    fn found(dir: &Path, variables: &str, program: &str) -> (String, String) {
        let mut set: BTreeMap<_, _> = variables
            .split_whitespace()
            .map(|word| match word.split_once('=') {
                Some((name, path)) => (OsString::from(name), dir.join(path).into_os_string()),
                None => (MANIFEST_ONLY.into(), "1".into()),
            })
            .collect();
        let variable = |name: &str| set.get(OsStr::new(name)).map(PathBuf::from);
        let runfiles = Runfiles::find_with("_main/x", variable, dir.join(program).as_os_str());
        let runfiles = runfiles.unwrap_or_else(|error| panic!("{variables}: {error}"));
        let mut command = Command::new("x");
        runfiles.announce(&mut command);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => set.insert(name.to_owned(), value.to_owned()),
                None => set.remove(name),
            };
        }
        let relative = |path: &Path| path.strip_prefix(dir).unwrap_or(path).display().to_string();
        let told = set.iter().map(|(name, value)| match name {
            name if name == MANIFEST_ONLY => "ONLY".to_owned(),
            name => format!("{}={}", name.display(), relative(Path::new(value))),
        });
        let told = told.collect::<Vec<_>>().join(" ");
        (relative(&runfiles.path("_main/x").expect("x")), told)
    }

    #[test]
    fn runfiles_are_found_wherever_bazel_puts_them() {
        let dir = places();
        for (variables, program, path, told) in [
            // In a test, also in a sandbox and on a remote worker.
            (
                "RUNFILES_DIR=full TEST_SRCDIR=full",
                "program",
                "full/_main/x",
                "RUNFILES_DIR=full TEST_SRCDIR=full",
            ),
            // The same with --noenable_runfiles.
            (
                "RUNFILES_DIR=full ONLY TEST_SRCDIR=full",
                "program",
                "full/_main/x",
                "RUNFILES_DIR=full TEST_SRCDIR=full",
            ),
            // Without a sandbox, with --noenable_runfiles.
            (
                "RUNFILES_DIR=bare RUNFILES_MANIFEST_FILE=bare/MANIFEST ONLY TEST_SRCDIR=bare",
                "program",
                "real",
                "RUNFILES_DIR=bare RUNFILES_MANIFEST_FILE=bare/MANIFEST ONLY TEST_SRCDIR=bare",
            ),
            // The directory alone, under its older name.
            (
                "TEST_SRCDIR=full",
                "program",
                "full/_main/x",
                "RUNFILES_DIR=full TEST_SRCDIR=full",
            ),
            (
                "RUNFILES_DIR=absent ONLY TEST_SRCDIR=full",
                "program",
                "full/_main/x",
                "RUNFILES_DIR=full TEST_SRCDIR=full",
            ),
            // A manifest alone.
            (
                "RUNFILES_MANIFEST_FILE=manifest",
                "program",
                "real",
                "RUNFILES_MANIFEST_FILE=manifest",
            ),
            (
                "RUNFILES_MANIFEST_FILE=manifest ONLY",
                "program",
                "real",
                "RUNFILES_MANIFEST_FILE=manifest ONLY",
            ),
            (
                "RUNFILES_DIR=absent RUNFILES_MANIFEST_FILE=manifest TEST_SRCDIR=absent",
                "program",
                "real",
                "RUNFILES_DIR=absent RUNFILES_MANIFEST_FILE=manifest TEST_SRCDIR=absent",
            ),
            // A directory and a manifest.
            (
                "RUNFILES_DIR=full RUNFILES_MANIFEST_FILE=manifest",
                "program",
                "full/_main/x",
                "RUNFILES_DIR=full",
            ),
            (
                "RUNFILES_DIR=full RUNFILES_MANIFEST_FILE=manifest ONLY",
                "program",
                "full/_main/x",
                "RUNFILES_DIR=full",
            ),
            (
                "RUNFILES_DIR=full RUNFILES_MANIFEST_FILE=absent ONLY",
                "program",
                "full/_main/x",
                "RUNFILES_DIR=full",
            ),
            // No variable: the runfiles are beside the program.
            ("", "t", "t.runfiles/_main/x", "RUNFILES_DIR=t.runfiles"),
            ("ONLY", "t", "t.runfiles/_main/x", "RUNFILES_DIR=t.runfiles"),
            (
                "",
                "both",
                "both.runfiles/_main/x",
                "RUNFILES_DIR=both.runfiles",
            ),
            (
                "",
                "listed",
                "real",
                "RUNFILES_MANIFEST_FILE=listed.runfiles_manifest",
            ),
            (
                "",
                "bare",
                "real",
                "RUNFILES_MANIFEST_FILE=bare.runfiles/MANIFEST",
            ),
            // The variables are those of another program.
            (
                "RUNFILES_DIR=bare RUNFILES_MANIFEST_FILE=other",
                "t",
                "t.runfiles/_main/x",
                "RUNFILES_DIR=t.runfiles",
            ),
        ] {
            let expected = (path.to_owned(), told.to_owned());
            let found = found(dir.path(), variables, program);
            assert_eq!(found, expected, "{program}: {variables}");
        }
    }
}
