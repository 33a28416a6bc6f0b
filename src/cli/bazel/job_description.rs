//! What a rule says of the command that a link to this program runs: a JSON object.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::cli::bazel::runfiles::Runfiles;
use crate::cli::disks::names::Named;

/// An object in which `command` is the runfiles path of the executable.
pub struct JobDescription {
    object: Map<String, Value>,
    runfiles: Runfiles,
}

impl JobDescription {
    pub fn parse(text: &str) -> Result<Self> {
        let object: Map<String, Value> = serde_json::from_str(text)?;
        let name = runfiles_path("command", object.get("command"))?;
        let runfiles = Runfiles::find(name).context("\"command\"")?;
        Ok(JobDescription { object, runfiles })
    }

    /// Returns the command, which is told where its runfiles are.
    pub fn command(&self) -> Result<Command> {
        let name = runfiles_path("command", self.object.get("command"))?;
        let mut command = Command::new(self.runfiles.path(name)?);
        self.runfiles.announce(&mut command);
        Ok(command)
    }

    /// Returns the entries of an object that maps names to runfiles paths.
    pub fn named(&self, field: &str) -> Result<Vec<Named>> {
        let object = self.object.get(field).and_then(Value::as_object);
        let object = object.with_context(|| format!("{field:?} is not an object"))?;
        let one = |(name, path): (&String, &Value)| {
            let path = self.runfiles.path(runfiles_path(name, Some(path))?);
            Ok(Named {
                name: name.clone(),
                path: path.with_context(|| format!("{name:?}"))?,
            })
        };
        object.iter().map(one).collect()
    }

    /// Returns a string, if there is one.
    pub fn word(&self, field: &str) -> Option<&str> {
        self.object.get(field).and_then(Value::as_str)
    }

    /// Returns a list of strings.
    pub fn texts(&self, field: &str) -> Result<Vec<&str>> {
        let list = self.object.get(field).and_then(Value::as_array);
        let texts = list.and_then(|list| list.iter().map(Value::as_str).collect());
        texts.with_context(|| format!("{field:?} is not a list of strings"))
    }
}

fn runfiles_path<'a>(field: &str, value: Option<&'a Value>) -> Result<&'a str> {
    let path = value.and_then(Value::as_str);
    path.with_context(|| format!("{field:?} is not a runfiles path"))
}
