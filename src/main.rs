//! The command `qcow2-overlay`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line whatever a file or a library puts into its message.
            let message = format!("{error:#}").replace('\n', " ");
            eprintln!("qcow2-overlay: {message}");
            ExitCode::from(if error.is::<cli::Usage>() { 2 } else { 1 })
        }
    }
}
