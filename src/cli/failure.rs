//! Errors with an exit status other than 1: wrong usage, or a failure of COMMAND.

use std::fmt;

/// An error that has another exit status than 1.
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

/// A command line that cannot be understood.
pub fn usage(problem: impl fmt::Display) -> anyhow::Error {
    let message = problem.to_string();
    anyhow::Error::new(Failure { status: 2, message })
}
