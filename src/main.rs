//! The command `qcow2-overlay`.

mod cli;

use std::process::ExitCode;

use crate::cli::failure::Failure;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line whatever a file or a library puts into its message.
            let message = format!("{error:#}").replace('\n', " ");
            eprintln!("qcow2-overlay: {message}");
            ExitCode::from(error.downcast_ref().map_or(1, |f: &Failure| f.status))
        }
    }
}
