//! Progress of a long operation.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cli::human_size::human_size;

/// The least time between two updates of the line.
const INTERVAL: Duration = Duration::from_millis(200);

/// A line of progress on standard error, as qemu-img prints it.
pub struct Progress {
    /// The number of bytes to do, if it is known.
    total: Option<u64>,
    /// When the line was last printed.
    printed: Mutex<Option<Instant>>,
}

impl Progress {
    pub fn new(total: Option<u64>) -> Self {
        Progress {
            total,
            printed: Mutex::default(),
        }
    }

    /// Prints that `done` bytes are done, unless the last update was a moment ago.
    pub fn show(&self, done: u64) {
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if printed.is_none_or(|at| at.elapsed() >= INTERVAL) {
            *printed = Some(Instant::now());
            self.print(done, "\r");
        }
    }

    /// Prints the last line, for `done` bytes.
    pub fn finish(&self, done: u64) {
        self.print(done, "\n");
    }

    fn print(&self, done: u64, end: &str) {
        let text = match self.total {
            Some(total) => {
                let percent = 100.0 * done as f64 / total.max(done).max(1) as f64;
                format!("    ({percent:.2}/100%){end}")
            }
            None => format!("    {:<12}{end}", human_size(done)),
        };
        // The work must not fail because its progress cannot be shown.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}
