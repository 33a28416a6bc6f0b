//! The command line: parsed here, and carried out in the modules of this folder.

pub mod advice;
mod arguments;
mod backing;
mod bazel;
mod commands;
mod disks;
pub mod failure;
mod human_size;
mod info_output;
pub mod messages;
mod process;
mod progress;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::Command;

use crate::cli::bazel::environment;
use crate::cli::bazel::provision_runner;
use crate::cli::bazel::test_runner;
use crate::cli::commands::blockdev;
use crate::cli::commands::clone;
use crate::cli::commands::convert;
use crate::cli::commands::create;
use crate::cli::commands::exec;
use crate::cli::commands::info;
use crate::cli::commands::provision;
use crate::cli::failure::usage;
use crate::cli::messages::print;
use crate::cli::process::signals;

fn command() -> Command {
    Command::new("qcow2-overlay")
        .about("Writes qcow2 overlays and images, runs commands with fresh disks, and describes images")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(create::command())
        .subcommand(convert::command())
        .subcommand(clone::command())
        .subcommand(exec::command())
        .subcommand(provision::command())
        .subcommand(blockdev::command())
        .subcommand(info::command())
}

/// Runs the subcommand of the command line, or the test or tool that a rule made of this program.
pub fn run() -> Result<()> {
    signals::survive_file_size_limit();
    if let Some(job) = test_runner::job()? {
        return exec::start(job);
    }
    provision_runner::start()?;
    let arguments = environment::arguments()?;
    let matches = match environment::adapted(command()).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return explain(&error),
    };
    match matches.subcommand() {
        Some(("create", matches)) => create::run(matches),
        Some(("convert", matches)) => convert::run(matches),
        Some(("clone", matches)) => clone::run(matches),
        Some(("exec", matches)) => exec::run(matches),
        Some(("provision", matches)) => provision::run(matches),
        Some(("blockdev", matches)) => blockdev::run(matches),
        Some(("info", matches)) => info::run(matches),
        _ => unreachable!("clap requires one of the subcommands above"),
    }
}

/// Prints the requested help, or returns clap's error as one line.
fn explain(error: &clap::Error) -> Result<()> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => print(&text),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Err(usage(
            "give a subcommand: create, convert, clone, exec, provision, blockdev or info; --help explains them",
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
