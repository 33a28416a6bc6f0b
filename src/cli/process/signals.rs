//! Signals that end this process: it first reports an error, or removes unfinished files.

use std::mem;
use std::process;
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::{mpsc, Arc};
use std::thread;

use qcow2_overlay::remove_unfinished;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The signals that ask a process to end.
pub const ENDING: [i32; 4] = [SIGTERM, SIGHUP, SIGINT, SIGQUIT];

/// Returns whether this process ignores a signal, as under nohup(1). Commands that it runs then
/// have to ignore it too.
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: the struct consists of integers and an address, and the call writes only to it.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        libc::sigaction(signal, ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Makes a write beyond the limit of `ulimit -f` an error instead of the end of this process.
/// Unlike an ignored signal, one that is caught has its default effect in a command.
pub fn survive_file_size_limit() {
    if !is_ignored(SIGXFSZ) {
        let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    }
}

/// Ends this process by a signal. The first process of a PID namespace, as in a container, does not
/// get a signal that it does not catch (pid_namespaces(7)): it exits as a shell does. A signal
/// without a name, such as a real-time signal, gives that status too.
pub fn end_by(signal: i32) -> ! {
    if process::id() != 1 {
        let _ = emulate_default_handler(signal);
    }
    process::exit(128 + signal)
}

/// Removes unfinished files when a signal ends this process.
pub fn clean_up_when_ended() {
    let caught: Vec<i32> = ENDING.into_iter().filter(|&s| !is_ignored(s)).collect();
    let (is_ready, ready) = mpsc::channel();
    let thread = thread::Builder::new().spawn(move || {
        let signals = Signals::new(caught);
        let _ = is_ready.send(());
        let Ok(mut signals) = signals else { return };
        if let Some(signal) = signals.forever().next() {
            remove_unfinished();
            end_by(signal);
        }
    });
    // Without the thread a signal ends this process as usual.
    if thread.is_ok() {
        let _ = ready.recv();
    }
}
