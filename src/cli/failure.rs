//! Errors with an exit status other than 1: wrong usage, or a failure of COMMAND.

use std::fmt;

/// An error with its exit status.
#[derive(Debug)]
pub struct Failure {
    pub status: u8,
    pub message: String,
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Returns an error about wrong usage of the command line.
pub fn usage(problem: impl fmt::Display) -> anyhow::Error {
    let message = problem.to_string();
    anyhow::Error::new(Failure { status: 2, message })
}
