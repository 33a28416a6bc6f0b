//! Running a command: signals are passed on to it, and its exit status is passed back.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Child, Command, ExitStatus};

use rustix::process::{
    kill_process, kill_process_group, setrlimit, waitid, Pid, Resource, Rlimit, Signal, WaitId,
    WaitIdOptions,
};
use signal_hook::consts::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::cli::failure::Failure;
use crate::cli::process::signals::{end_by, is_ignored, ENDING};

/// The signals that would end this process before it has cleaned up.
const CAUGHT: [i32; 6] = [SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT];

/// How many seconds a command with a time limit has to end after TERM. Bazel waits longer for this
/// process (`--local_termination_grace_seconds`).
pub const GRACE: u32 = 5;

/// Catches signals as soon as it exists, so that none is lost before the command runs.
pub struct Waiter {
    signals: Signals,
    /// The last signal that asked this process to end.
    told_to_end: Option<i32>,
    /// The command of [`run_for`](Self::run_for), the first process of its group.
    group: Option<Child>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.end_group();
    }
}

impl Waiter {
    pub fn new() -> io::Result<Self> {
        // A signal that is ignored, as under nohup(1), must stay ignored in the command.
        let caught = CAUGHT.iter().filter(|&&signal| !is_ignored(signal));
        Ok(Waiter {
            signals: Signals::new(caught.chain(&[SIGCHLD]))?,
            told_to_end: None,
            group: None,
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

    /// Runs the command as [`run`](Self::run) does, but for at most so many seconds. Returns `None`
    /// if it took longer. It then gets TERM, and KILL if it does not end.
    ///
    /// The command has a process group of its own, because a shell that gets TERM does not end what
    /// it runs. A terminal sends nothing to this group, so INT and QUIT are passed on too. What is
    /// left of the group is killed when this is dropped.
    pub fn run_for(
        &mut self,
        seconds: u32,
        command: &mut Command,
    ) -> io::Result<Option<ExitStatus>> {
        self.signals.handle().add_signal(SIGALRM)?;
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        self.group = Some(child);
        set_alarm(seconds);
        let (mut is_over, mut is_ending) = (false, false);
        for signal in self.signals.forever() {
            let is_told = ENDING.contains(&signal);
            let passed_on = match signal {
                SIGCHLD => {
                    if let Some(status) = ended(pid)? {
                        set_alarm(0);
                        if is_ending || !status.success() {
                            // Before anything that it may write to is removed.
                            self.end_group();
                        }
                        return Ok((!is_over).then_some(status));
                    }
                    continue;
                }
                SIGALRM if is_ending => Some(Signal::KILL),
                SIGALRM => Some(Signal::TERM),
                _ => Signal::from_named_raw(signal),
            };
            if let Some(signal) = passed_on {
                let _ = kill_process_group(pid, signal);
            }
            if is_told {
                self.told_to_end = Some(signal);
            }
            if !is_ending && (is_told || signal == SIGALRM) {
                is_over = signal == SIGALRM;
                is_ending = true;
                set_alarm(GRACE);
            }
        }
        Ok(None) // not reached: the signals never end
    }

    /// Kills what is left of the command of [`run_for`](Self::run_for) and its process group.
    pub fn end_group(&mut self) {
        if let Some(mut child) = self.group.take() {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
        }
    }

    /// Returns the last signal so far that asked this process to end.
    pub fn told_to_end(&mut self) -> Option<i32> {
        let ending = |signal: &i32| ENDING.contains(signal);
        let last = self.signals.pending().filter(ending).last();
        self.told_to_end = last.or(self.told_to_end);
        self.told_to_end
    }
}

/// Has the system send ALRM to this process after so many seconds; 0 means not at all.
fn set_alarm(seconds: u32) {
    // SAFETY: the call takes an integer and changes no memory.
    unsafe { libc::alarm(seconds) };
}

/// Returns the status of a child if it has ended. It remains a child that can be waited for, so no
/// other process or process group gets its ID.
fn ended(pid: Pid) -> io::Result<Option<ExitStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let Some(found) = waitid(WaitId::Pid(pid), options)? else {
        return Ok(None);
    };
    // As wait(2) encodes them.
    let status = match found.exit_status() {
        Some(code) => code << 8,
        None => found.terminating_signal().unwrap_or_default(),
    };
    Ok(Some(ExitStatus::from_raw(status)))
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
