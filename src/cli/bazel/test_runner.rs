//! The executable of a test: `qcow2_test` makes a link to this program and says in
//! the environment what the test is.

use std::env;

use anyhow::{Context, Result};

use crate::cli::bazel::job_description::JobDescription;
use crate::cli::bazel::kept_disks::{Keep, KeepAs};
use crate::cli::commands::exec::Job;

/// Set by the rule: a JSON object with
/// - `command`: the runfiles path of the executable, which gets all arguments;
/// - `disks`: an object that maps the names of the disks to runfiles paths of overlays;
/// - `copies`: an object that maps the names of the copies to runfiles paths of their originals;
/// - `keep`: `never`, `on_failure` or `always`;
/// - `keep_as`: `overlay` or `image`.
const TEST: &str = "QCOW2_OVERLAY_TEST";

/// Returns the test to run, if this program was started as one.
pub fn job() -> Result<Option<Job>> {
    let Some(test) = env::var_os(TEST) else {
        return Ok(None);
    };
    parse(&test.to_string_lossy()).context(TEST).map(Some)
}

fn parse(text: &str) -> Result<Job> {
    let test = JobDescription::parse(text)?;
    let mut command = test.command()?;
    command.args(env::args_os().skip(1)).env_remove(TEST);
    Ok(Job {
        disks: test.named("disks")?,
        copies: test.named("copies")?,
        keep: test
            .word("keep")
            .and_then(Keep::named)
            .context("\"keep\" is not never, on_failure or always")?,
        keep_as: test
            .word("keep_as")
            .and_then(KeepAs::named)
            .context("\"keep_as\" is not overlay or image")?,
        command,
    })
}
