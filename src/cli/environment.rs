//! What `bazel run` changes: where the user stands, and which image is meant.

use std::env;
use std::ffi::OsString;
use std::path::{self, Path, PathBuf};

use anyhow::{Context, Result};

/// Set by the rules for `bazel run //pkg:overlay -- PATH`: the name of the image
/// beside the executable, which is a link to this program. The arguments are then
/// those of `clone` behind OVERLAY.
const IMAGE: &str = "QCOW2_OVERLAY_IMAGE";

/// The command line, after moving to the directory the user is in.
pub fn arguments() -> Result<Vec<OsString>> {
    let mut arguments: Vec<OsString> = env::args_os().collect();
    let program = PathBuf::from(arguments.first().cloned().unwrap_or_default());
    let program = path::absolute(&program).unwrap_or(program);
    if let Some(directory) = user_directory(&program) {
        env::set_current_dir(&directory)
            .with_context(|| format!("the directory {directory:?} you are in"))?;
    }
    if let Some(image) = env::var_os(IMAGE) {
        let image = program.with_file_name(image).into_os_string();
        arguments.splice(1..1, ["clone".into(), image]);
    }
    Ok(arguments)
}

/// Where the user stands if `bazel run` started `program` itself, which it does in
/// the program's runfiles. A program started by another that `bazel run` started
/// gets the variable too, but has a working directory that was meant.
fn user_directory(program: &Path) -> Option<PathBuf> {
    let mut runfiles = program.as_os_str().to_owned();
    runfiles.push(".runfiles");
    let here = env::current_dir().ok()?;
    let in_runfiles = here.starts_with(Path::new(&runfiles));
    in_runfiles
        .then(|| env::var_os("BUILD_WORKING_DIRECTORY"))?
        .map(PathBuf::from)
}
