//! The environment of `bazel run`: the user's directory, and the image of a `.clone`.

use std::env;
use std::ffi::OsString;
use std::path::{self, Path, PathBuf};

use anyhow::{Context, Result};
use clap::Command;

use crate::cli::failure::usage;

/// Set by the rules for `bazel run //pkg:overlay.clone -- PATH`: the name of the image
/// beside the executable, which is a link to this program. The arguments are then
/// those of `clone` without OVERLAY.
const IMAGE: &str = "QCOW2_OVERLAY_IMAGE";

/// The usage of such a target.
const RUN_IMAGE: &str = "bazel run TARGET -- [--size SIZE] [--force] PATH";

/// Returns an environment variable, if it is set and not empty.
pub fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Changes to the user's working directory, and returns the command line.
pub fn arguments() -> Result<Vec<OsString>> {
    let mut arguments: Vec<OsString> = env::args_os().collect();
    let directory = variable("BUILD_WORKING_DIRECTORY");
    let image = env::var_os(IMAGE);
    // Usually neither is set, and no path has to be resolved.
    if directory.is_none() && image.is_none() {
        return Ok(arguments);
    }
    let program = PathBuf::from(arguments.first().cloned().unwrap_or_default());
    let program = path::absolute(&program).unwrap_or(program);
    if let Some(directory) = directory.filter(|_| is_in_runfiles_of(&program)) {
        env::set_current_dir(&directory)
            .with_context(|| format!("the directory {directory:?} you are in"))?;
    }
    if let Some(image) = image {
        if arguments.len() < 2 {
            return Err(usage(format!(
                "give a PATH to write a disk to: {RUN_IMAGE}; --help explains it"
            )));
        }
        let image = program.with_file_name(image).into_os_string();
        arguments.splice(1..1, ["clone".into(), image]);
    }
    Ok(arguments)
}

/// Adapts the help of `clone` to a target that gives OVERLAY itself.
pub fn adapted(command: Command) -> Command {
    match env::var_os(IMAGE) {
        None => command,
        Some(_) => command.mut_subcommand("clone", |clone| {
            clone
                .override_usage(RUN_IMAGE)
                .mut_arg("overlay", |overlay| overlay.hide(true))
                .mut_arg("file", |file| file.value_name("PATH"))
        }),
    }
}

/// Returns whether `bazel run` started `program` itself, which it does in the program's
/// runfiles. If another program under `bazel run` starts it, `BUILD_WORKING_DIRECTORY` is set
/// too, but the working directory was chosen on purpose.
fn is_in_runfiles_of(program: &Path) -> bool {
    let mut runfiles = program.as_os_str().to_owned();
    runfiles.push(".runfiles");
    env::current_dir().is_ok_and(|here| here.starts_with(Path::new(&runfiles)))
}
