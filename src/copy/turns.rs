//! Threads that take turns: the clusters of the new image are allocated for one part after the other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::copy::allocator::Allocator;
use crate::format::error::{Error, Result};

/// The allocator, of which each part gets its turn.
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    allocator: Allocator,
    /// The number of the part whose turn it is.
    next: u64,
    /// The first part that has failed, by its place on the disk, and why: which one it is does not
    /// depend on the speed of the threads.
    failed: Option<(u64, Error)>,
}

impl State {
    fn has_failed_before(&self, part: u64) -> bool {
        self.failed.as_ref().is_some_and(|(first, _)| *first < part)
    }
}

impl Turns {
    pub fn new(allocator: Allocator) -> Self {
        let state = State {
            allocator,
            next: 0,
            failed: None,
        };
        Turns {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Calls `allocate` when it is the turn of this part, and ends the turn. Returns none, without
    /// the call, if an earlier part has failed.
    pub fn take<T>(&self, part: u64, allocate: impl FnOnce(&mut Allocator) -> T) -> Option<T> {
        let must_wait = |state: &mut State| state.next != part && !state.has_failed_before(part);
        let waited = self.changed.wait_while(lock(&self.state), must_wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.has_failed_before(part) {
            return None;
        }
        let allocated = allocate(&mut state.allocator);
        state.next += 1;
        self.changed.notify_all();
        Some(allocated)
    }

    /// Ends the copy, but for the parts before this one.
    pub fn fail(&self, part: u64, error: Error) {
        let mut state = lock(&self.state);
        if state.failed.as_ref().is_none_or(|(first, _)| part < *first) {
            state.failed = Some((part, error));
        }
        self.changed.notify_all();
    }

    pub fn has_failed(&self) -> bool {
        lock(&self.state).failed.is_some()
    }

    /// Returns the allocator after the last turn, or why the first part that has failed did.
    pub fn end(self) -> Result<Allocator> {
        let state = self.state.into_inner();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        match state.failed {
            Some((_, error)) => Err(error),
            None => Ok(state.allocator),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panics ends the others too.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the other threads if one panics, as the caller's `progress` can: they would wait for
/// it forever.
pub(crate) struct EndOnPanic<'a>(pub &'a Turns);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(0, Error::Panicked);
        }
    }
}
