//! What differs between operating systems, and what is used where a system lacks it.
//!
//! | | Linux | macOS |
//! |---|---|---|
//! | a file without a name | `O_TMPFILE` | none: the file has a hidden name |
//! | a rename that does not replace | `RENAME_NOREPLACE`, by tempfile | `RENAME_EXCL`, by tempfile; else an empty file takes the name |
//! | blocks that files share | Btrfs and XFS | none: the bytes are written |
//! | the holes of a raw image | `SEEK_DATA` | not found: the whole file is read |
//! | whether a file is open for writing | a lease | not seen |
//! | the locks of QEMU | seen | seen if QEMU has open file description locks there |
//!
//! A file system or a container can lack any of this on Linux, too. A build with `--cfg portable`,
//! which only tests make, does on Linux what the tool does on macOS.

#[cfg(all(target_os = "linux", not(portable)))]
pub(crate) use linux::{can_share, data_at, is_lease_refused, open_unnamed, share};
#[cfg(not(all(target_os = "linux", not(portable))))]
pub(crate) use portable::{can_share, data_at, is_lease_refused, open_unnamed, share};

#[cfg(all(target_os = "linux", not(portable)))]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use rustix::fs::{copy_file_range, fstatfs, seek, OFlags, SeekFrom};
    use rustix::io::Errno;

    /// Creates a file without a name in `directory`.
    pub fn open_unnamed(directory: &Path) -> io::Result<File> {
        File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlags::TMPFILE.bits() as i32)
            .open(directory)
    }

    /// Returns whether files can share blocks on the file system of `file`. On others, the
    /// kernel would copy data that has been read already.
    pub fn can_share(file: &File) -> bool {
        const BTRFS: u32 = 0x9123_683e;
        const XFS: u32 = 0x5846_5342;
        fstatfs(file).is_ok_and(|status| matches!(status.f_type as u32, BTRFS | XFS))
    }

    /// Lets `to` share bytes with `from`. Returns how many it shares.
    pub fn share(from: &File, start: u64, to: &File, offset: u64, length: usize) -> usize {
        let (mut done, mut start, mut offset) = (0, start, offset);
        while done < length {
            let left = length - done;
            match copy_file_range(from, Some(&mut start), to, Some(&mut offset), left) {
                Ok(count) if count > 0 => done += count,
                _ => break,
            }
        }
        done
    }

    /// Returns whether there may be data at `offset` of `file`, or a hole, and where it ends. The
    /// file has `length` bytes, more than `offset`.
    pub fn data_at(file: &File, offset: u64, length: u64) -> (bool, u64) {
        // A file system that does not support holes reports one at the end only.
        let found = match seek(file, SeekFrom::Data(offset)) {
            Ok(data) if data > offset => return (false, data.min(length)),
            Ok(_) => seek(file, SeekFrom::Hole(offset)),
            Err(Errno::NXIO) => return (false, length),
            Err(error) => Err(error),
        };
        let end = found.unwrap_or(length).min(length);
        (true, if end > offset { end } else { length })
    }

    /// Returns whether no read lease is granted on `file`. Its owner gets one only if no process
    /// has it open for writing (fcntl(2)).
    pub fn is_lease_refused(file: &File) -> bool {
        // SAFETY: the call takes two integers and writes no memory.
        let status = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
        status == -1 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
    }
}

/// What any Unix can do.
#[cfg(not(all(target_os = "linux", not(portable))))]
mod portable {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub fn open_unnamed(_directory: &Path) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn can_share(_file: &File) -> bool {
        false
    }

    pub fn share(_from: &File, _start: u64, _to: &File, _offset: u64, _length: usize) -> usize {
        0
    }

    /// macOS has `SEEK_DATA`, but if there is data at `offset`, it returns the start of the next
    /// data, so that the data at `offset` would pass for a hole.
    pub fn data_at(_file: &File, _offset: u64, length: u64) -> (bool, u64) {
        (true, length)
    }

    pub fn is_lease_refused(_file: &File) -> bool {
        false
    }
}
