//! The command `qcow2-overlay`.

// They panic if they cannot print, as on a full disk; see cli/output.rs.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod cli;

use std::process::ExitCode;

use crate::cli::failure::Failure;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error is one line, even if a library's message has several.
            let message = format!("{error:#}").replace('\n', " ");
            cli::messages::say(&message);
            ExitCode::from(error.downcast_ref().map_or(1, |f: &Failure| f.status))
        }
    }
}
