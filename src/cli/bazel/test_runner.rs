//! The executable of a test: `qcow2_test` makes a link to this program and says in
//! the environment what the test is.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::cli::bazel::kept_disks::{Keep, KeepAs};
use crate::cli::bazel::runfiles::Runfiles;
use crate::cli::commands::exec::Job;
use crate::cli::disks::names::Named;

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
    let test: Map<String, Value> = serde_json::from_str(text)?;
    let name = runfiles_path("command", test.get("command"))?;
    let runfiles = Runfiles::find(name).context("\"command\"")?;
    let mut command = Command::new(runfiles.path(name)?);
    command.args(env::args_os().skip(1)).env_remove(TEST);
    runfiles.announce(&mut command);
    let one = |(name, path): (&String, &Value)| {
        let path = runfiles.path(runfiles_path(name, Some(path))?);
        Ok(Named {
            name: name.clone(),
            path: path.with_context(|| format!("{name:?}"))?,
        })
    };
    let all = |field: &str| {
        let object = test.get(field).and_then(Value::as_object);
        let object = object.with_context(|| format!("{field:?} is not an object"))?;
        object.iter().map(one).collect::<Result<_>>()
    };
    let word = |field: &str| test.get(field).and_then(Value::as_str);
    Ok(Job {
        disks: all("disks")?,
        copies: all("copies")?,
        keep: word("keep")
            .and_then(Keep::named)
            .context("\"keep\" is not never, on_failure or always")?,
        keep_as: word("keep_as")
            .and_then(KeepAs::named)
            .context("\"keep_as\" is not overlay or image")?,
        command,
    })
}

fn runfiles_path<'a>(field: &str, value: Option<&'a Value>) -> Result<&'a str> {
    let path = value.and_then(Value::as_str);
    path.with_context(|| format!("{field:?} is not a runfiles path"))
}
