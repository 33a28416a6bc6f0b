//! The command `qcow2-overlay`.

// They panic if they cannot print, as on a full disk; see cli/messages.rs.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod cli;

use std::process::ExitCode;

use crate::cli::failure::Failure;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::messages::say(&cli::advice::message(&error));
            ExitCode::from(error.downcast_ref().map_or(1, |f: &Failure| f.status))
        }
    }
}
