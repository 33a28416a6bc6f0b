//! Waiting for a command transparently.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{self, Command, ExitStatus};
use std::thread;

use rustix::process::{kill_process, setrlimit, Pid, Resource, Rlimit, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::cli::failure::Failure;

/// Those that would end us before we have tidied up.
const CAUGHT: [i32; 6] = [SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT];

/// Of these, what somebody sends who wants all of it to end.
const ENDING: [i32; 4] = [SIGTERM, SIGHUP, SIGINT, SIGQUIT];

/// Catches signals from its making on, so that none gets lost before the command runs.
pub struct Waiter {
    signals: Signals,
    /// The last of those that somebody sends who wants all of it to end.
    pub told_to_end: Option<i32>,
}

impl Waiter {
    pub fn new() -> io::Result<Self> {
        // What is ignored, as under nohup(1), must stay ignored in the command.
        let ignored = ignored_signals();
        let caught = CAUGHT.iter().filter(|&signal| !ignored.contains(signal));
        Ok(Waiter {
            signals: Signals::new(caught.chain(&[SIGCHLD]))?,
            told_to_end: None,
        })
    }

    /// Runs the command to its end.
    ///
    /// There is one thread only, and it alone awaits the child: a signal can never be
    /// sent to another process that has got the number of a child that is gone.
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
                    // That it has ended just now will be noticed in the next round.
                    let _ = signal.map(|signal| kill_process(pid, signal));
                }
            }
        }
        child.wait()
    }

    /// From now on the signals that it catches end this process, but `directory` is removed
    /// first.
    pub fn remove_at_the_end(mut self, directory: PathBuf) {
        thread::spawn(move || {
            for signal in self.signals.forever() {
                if signal != SIGCHLD {
                    let _ = fs::remove_dir_all(&directory);
                    let _ = emulate_default_handler(signal);
                }
            }
        });
    }
}

/// The signals that this process ignores, where the system tells that.
fn ignored_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    (1..=64).filter(|n| mask >> (n - 1) & 1 == 1).collect()
}

/// Exits with the status of a command, or ends by the signal that ended it.
pub fn end_like(status: ExitStatus) -> ! {
    let signal = status.signal().unwrap_or_default();
    if signal != 0 {
        // Whatever there is to be seen is in the core file of the command.
        let no_core = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, no_core);
        let _ = emulate_default_handler(signal);
    }
    // A signal that has no name, such as a real-time signal, ends a command too.
    process::exit(status.code().unwrap_or(128 + signal))
}

/// That `program` cannot be run. The exit status is the one shells, env(1) and timeout(1) give.
pub fn cannot_run(program: &OsStr, error: &io::Error) -> anyhow::Error {
    let status = match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    };
    let message = format!("cannot run {program:?}: {error}");
    anyhow::Error::new(Failure { status, message })
}
