//! Running a command: signals are passed on to it, and its exit status is passed back.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, ExitStatus};

use rustix::process::{kill_process, setrlimit, Pid, Resource, Rlimit, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::cli::failure::Failure;
use crate::cli::process::signals::{end_by, is_ignored, ENDING};

/// The signals that would end this process before it has cleaned up.
const CAUGHT: [i32; 6] = [SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT];

/// Catches signals as soon as it exists, so that none is lost before the command runs.
pub struct Waiter {
    signals: Signals,
    /// The last signal that asked this process to end.
    told_to_end: Option<i32>,
}

impl Waiter {
    pub fn new() -> io::Result<Self> {
        // A signal that is ignored, as under nohup(1), must stay ignored in the command.
        let caught = CAUGHT.iter().filter(|&&signal| !is_ignored(signal));
        Ok(Waiter {
            signals: Signals::new(caught.chain(&[SIGCHLD]))?,
            told_to_end: None,
        })
    }

    /// Runs the command, waits for it, and returns its status.
    ///
    /// One thread both waits for the child and passes on signals, so no signal can reach
    /// another process that has reused the process ID of the child.
    pub fn run(&mut self, command: &mut Command) -> io::Result<ExitStatus> {
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        for signal in self.signals.forever() {
            if ENDING.contains(&signal) {
                self.told_to_end = Some(signal);
            }
            match signal {
                SIGCHLD => {
                    if let Some(status) = child.try_wait()? {
                        return Ok(status);
                    }
                }
                // The terminal sends these to the whole foreground process group.
                SIGINT | SIGQUIT => {}
                _ => {
                    let signal = Signal::from_named_raw(signal);
                    // If this fails, the child has just ended; the next round notices it.
                    let _ = signal.map(|signal| kill_process(pid, signal));
                }
            }
        }
        child.wait()
    }

    /// Returns the last signal so far that asked this process to end.
    pub fn told_to_end(&mut self) -> Option<i32> {
        let ending = |signal: &i32| ENDING.contains(signal);
        let last = self.signals.pending().filter(ending).last();
        self.told_to_end = last.or(self.told_to_end);
        self.told_to_end
    }
}

/// Exits with the status of a command, or ends by the signal that ended it.
pub fn end_like(status: ExitStatus) -> ! {
    if let Some(signal) = status.signal() {
        // The core file of the command is the useful one.
        let no_core = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, no_core);
        end_by(signal);
    }
    process::exit(status.code().unwrap_or_default())
}

/// Returns the error that `program` cannot be run, with the exit status that shells, env(1) and
/// timeout(1) use.
pub fn cannot_run(program: &OsStr, error: &io::Error) -> anyhow::Error {
    let status = match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    };
    let message = format!("cannot run {program:?}: {error}");
    anyhow::Error::new(Failure { status, message })
}
