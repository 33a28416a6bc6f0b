//! The command `qcow2-overlay`.

mod cli;

use std::process::ExitCode;

use crate::cli::failure::Failure;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error is one line, even if a library's message has several.
            let message = format!("{error:#}").replace('\n', " ");
            eprintln!("qcow2-overlay: {message}");
            ExitCode::from(error.downcast_ref().map_or(1, |f: &Failure| f.status))
        }
    }
}
