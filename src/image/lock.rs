//! The locks that QEMU holds on the images it has open.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::format::error::Result;
use crate::image::probe::open;
use crate::image::system;

/// The bytes that QEMU locks (`block/file-posix.c`): from `RAW_LOCK_PERM_BASE` on, one for
/// each permission that it uses; from `RAW_LOCK_SHARED_BASE` on, one for each that others may
/// not use. `include/block/block-common.h` numbers the permissions.
const USES: i32 = 100;
const EXCLUSIONS: i32 = 200;
const WRITES: i32 = USES + 1;
const RESIZES: i32 = USES + 3;

/// Returns whether a QEMU has `file` open in any way.
///
/// This takes no lock, so a QEMU that starts at the same moment goes unnoticed.
pub(crate) fn is_in_use(file: &File) -> bool {
    is_locked(file, USES, 2 * (EXCLUSIONS - USES))
}

/// Returns whether a QEMU, such as a running virtual machine, may write to `file`. A disk
/// that is backed by such a file cannot be opened, because the file might change.
pub(crate) fn is_written(file: &File) -> bool {
    is_locked(file, WRITES, 1) || is_locked(file, RESIZES, 1)
}

/// Returns whether a process has the file at `path`, which this user owns, open for writing;
/// false if the system cannot tell.
pub(crate) fn is_open_for_writing(path: &Path) -> Result<bool> {
    // On NFS and SMB the server may grant no lease at all, and the answer is the same as for a
    // file that is open. A new file, which surely is not open, tells these apart.
    // Closing a file gives back its lease.
    Ok(system::is_lease_refused(&open(path)?) && !is_lease_refused_beside(path))
}

fn is_lease_refused_beside(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(Path::new(""));
    let new = tempfile::Builder::new()
        .prefix(".qcow2-overlay-")
        .tempfile_in(directory)
        .map(NamedTempFile::into_temp_path);
    new.is_ok_and(|new| open(&new).is_ok_and(|new| system::is_lease_refused(&new)))
}

/// Returns whether another process holds a lock on any of the `length` bytes from `start` on;
/// false on a file system without locks.
fn is_locked(file: &File, start: i32, length: i32) -> bool {
    // SAFETY: the struct consists of integers, and the call writes only to it. (rustix wraps
    // this call, but panics on the process ID -1 of QEMU's open file description locks.)
    let (status, answer) = unsafe {
        let mut question: libc::flock = std::mem::zeroed();
        question.l_type = libc::F_WRLCK as _;
        question.l_whence = libc::SEEK_SET as _;
        question.l_start = start.into();
        question.l_len = length.into();
        let status = libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut question);
        (status, question)
    };
    status == 0 && answer.l_type != libc::F_UNLCK as libc::c_short
}
