//! The locks that QEMU holds on the images it has open.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Where QEMU's locks are (`block/file-posix.c`, `RAW_LOCK_PERM_BASE`): a byte for each
/// thing that it may do with the file, behind that (`RAW_LOCK_SHARED_BASE`) one for each
/// that others may not do. Which they are is in `include/block/block-common.h`.
const USES: i32 = 100;
const EXCLUSIONS: i32 = 200;
const WRITES: i32 = USES + 1;
const RESIZES: i32 = USES + 3;

/// Whether a QEMU has `file` open in whatever way.
///
/// This looks and takes no lock, so that a QEMU that starts right now is not seen.
pub(crate) fn is_in_use(file: &File) -> bool {
    is_locked(file, USES, 2 * (EXCLUSIONS - USES))
}

/// Whether a QEMU, such as a running virtual machine, may write to `file`. A disk
/// that is backed by such a file cannot be opened, as the file might change.
pub(crate) fn is_written(file: &File) -> bool {
    is_locked(file, WRITES, 1) || is_locked(file, RESIZES, 1)
}

/// Whether a process has `file`, which is a file of ours, open for writing. False where the
/// system cannot tell.
#[cfg(target_os = "linux")]
pub(crate) fn is_open_for_writing(file: &File) -> bool {
    // The owner of a file gets a read lease if no process has it open for writing
    // (fcntl(2)); the lease ends when `file` is closed.
    // SAFETY: the call takes two numbers and writes to nothing.
    let status = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
    status == -1 && std::io::Error::last_os_error().kind() == std::io::ErrorKind::WouldBlock
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_open_for_writing(_file: &File) -> bool {
    false
}

/// Whether a lock of another process is on `length` bytes from `start` on. A file system
/// without locks has none.
fn is_locked(file: &File, start: i32, length: i32) -> bool {
    // SAFETY: a struct of numbers; the call writes to nothing else. (rustix has the call,
    // but panics on the -1 that is the process of QEMU's kind of lock.)
    let (status, answer) = unsafe {
        let mut question: libc::flock = std::mem::zeroed();
        question.l_type = libc::F_WRLCK as _;
        question.l_whence = libc::SEEK_SET as _;
        question.l_start = start.into();
        question.l_len = length.into();
        let status = libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut question);
        (status, question)
    };
    status == 0 && answer.l_type != libc::F_UNLCK as _
}
