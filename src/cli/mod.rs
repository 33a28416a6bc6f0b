//! The command line: what is understood here, what is done in the modules below.

mod clone;
mod create;
mod details;
mod environment;
mod info;
mod info_json;
mod info_text;
mod request;

use std::fmt;
use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::Command;
use qcow2_overlay::{human_size, Layout};

/// A command line that cannot be understood: exit status 2.
#[derive(Debug)]
pub struct Usage(String);

impl std::error::Error for Usage {}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn usage(problem: impl fmt::Display) -> anyhow::Error {
    anyhow::Error::new(Usage(problem.to_string()))
}

fn command() -> Command {
    Command::new("qcow2-overlay")
        .about("Writes qcow2 overlays and blank qcow2 images, and describes images")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(create::command())
        .subcommand(clone::command())
        .subcommand(info::command())
}

/// Does what the command line says.
pub fn run() -> Result<()> {
    let arguments = environment::arguments()?;
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return explain(&error),
    };
    match matches.subcommand() {
        Some(("create", matches)) => create::run(matches),
        Some(("clone", matches)) => clone::run(matches),
        Some(("info", matches)) => info::run(matches),
        _ => unreachable!("clap requires one of the subcommands above"),
    }
}

/// Prints the help that was asked for, or makes one line of clap's several.
fn explain(error: &clap::Error) -> Result<()> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => print(&text),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Err(usage(
            "give a subcommand: create, clone or info; --help explains them",
        )),
        _ => {
            let lines = text
                .lines()
                .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
                .filter(|line| !line.trim_start().starts_with("tip:"));
            let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
            let line = words.join(" ");
            let line = line.strip_prefix("error: ").unwrap_or(&line);
            Err(usage(format!("{line}; --help shows the usage")))
        }
    }
}

/// Writes to standard output; unlike `print!` without a panic when that is closed.
fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    written
        .and_then(|()| stdout.flush())
        .context("standard output")
}

/// What an image is, in a few words: `1 GiB overlay of "node.img" (raw)`.
fn describe(layout: &Layout) -> String {
    let header = layout.header();
    let size = human_size(header.virtual_size);
    match &header.backing_name {
        None => format!("{size} blank disk"),
        Some(name) => {
            let name = String::from_utf8_lossy(name);
            let format = header.backing_format().unwrap_or(b"format not recorded");
            format!(
                "{size} overlay of {name:?} ({})",
                String::from_utf8_lossy(format)
            )
        }
    }
}
