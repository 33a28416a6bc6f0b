//! `qcow2-overlay provision`: an image with what a command writes to a disk.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};

use anyhow::{anyhow, bail, Context, Result};
use clap::{ArgMatches, Command};
use qcow2_overlay::{
    chain, check_target, remove_unfinished, Conversion, Error, Format, FormatError, FreshDisk,
    ImageInfo,
};
use tempfile::TempDir;

use crate::cli::arguments::{self, command_of, either, option_list, path_of, size_of};
use crate::cli::arguments::{OPTIONS_HELP, SIZE_HELP};
use crate::cli::backing::{directory, size_over, Backing};
use crate::cli::disks::fresh_disks::write_disk;
use crate::cli::failure::{usage, Failure};
use crate::cli::messages::{cannot_write, describe_converted, existing, say_written};
use crate::cli::process::child::{cannot_run, Waiter};
use crate::cli::process::signals::end_by;

/// The name of the disk.
const DISK: &str = "DISK";

const HELP: &str = "
COMMAND gets the variables
  DISK            the absolute path of an empty overlay of the backing file, DISK.qcow2
  DISK_BLOCKDEV   a complete value for QEMU's -blockdev, as in exec; node name DISK
It writes to that disk, with QEMU or otherwise, and exits. Its standard output goes to
standard error, like the messages of the tool, because Bazel prints the two separately. FILE
then holds what differs from the backing file: the same content gives the same bytes,
whatever the order of the writes. Internal snapshots are left out. The backing file and its
own backing chain are never written to.

COMMAND can make the disk larger if SIZE is not given.

FILE is not written if COMMAND fails, if a process still has the disk open for writing, if
a file of the backing chain has changed, or if the tool receives TERM, HUP, INT or QUIT, even
if COMMAND then succeeds, as QEMU does. TERM, HUP, USR1 and USR2 are forwarded to COMMAND;
INT and QUIT are not, because a terminal sends these to both.

The disk is in a hidden directory beside FILE, .qcow2-overlay-*, which is removed at the
end. The file system needs space for what COMMAND writes and for FILE.

Exit status: that of COMMAND if it fails; 127 if COMMAND does not exist, 126 if it cannot
be run, 128 plus the number of the signal if a signal ended it; 1 or 2 for other errors.";

pub fn command() -> Command {
    Command::new("provision")
        .about("Runs a command with a disk, and writes an overlay with its changes")
        .override_usage("qcow2-overlay provision [OPTIONS] -b NAME FILE [SIZE] -- COMMAND [ARG...]")
        .after_help([OPTIONS_HELP, SIZE_HELP, HELP].concat())
        .args(arguments::backing())
        .arg(arguments::probe())
        .arg(arguments::standalone())
        .arg(arguments::compress())
        .arg(arguments::options())
        .arg(arguments::force())
        .arg(arguments::quiet())
        .arg(arguments::path("file", "FILE", "The image to write"))
        .arg(arguments::size())
        .arg(arguments::command())
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let file = path_of(matches, "file");
    let mut list = option_list(matches)?;
    let Some(backing) = Backing::of(matches, "-b", &mut list)? else {
        return Err(usage("give a backing file: -b NAME"));
    };
    list.size = either(size_of(matches)?, list.size, ["SIZE", "-o size"])?;
    let mut command = command_of(matches);
    if file.as_os_str() == "-" {
        return Err(usage(
            "FILE cannot be standard output, because it is not written in order: give a name",
        ));
    }
    // A file that cannot be written at the end is an error before the command runs.
    let existing = existing(matches);
    check_target(file, existing).map_err(|error| cannot_write(file, error))?;
    let open_base = || backing.open(file, matches.get_flag("standalone"));
    let base = open_base()?;
    let options = list.options();
    let disk_size = size_over(&backing.name, &base[0], list.size)?;
    let disk_options = options.clone().virtual_size(disk_size);

    // Signals are caught from now on, so that none leaves a directory behind.
    let mut waiter = Waiter::new().context("signals")?;
    let about = format!("backing file {:?}", base[0].path);
    let fresh = FreshDisk::backed_by(&base, disk_options).with_context(|| about.clone())?;
    // Not earlier: it could not be removed if no file can be opened.
    let directory = directory_beside(file)?;
    let disk = write_disk(directory.path(), DISK, &about, fresh)?;
    command.env(DISK, &disk.path);
    command.env(format!("{DISK}_BLOCKDEV"), &disk.blockdev);
    // Bazel prints what an action writes to standard error before the rest, so with two streams
    // the reason of a failure would come before what led to it.
    command.stdout(io::stderr());
    let ended = waiter.run(&mut command);
    let status = ended.map_err(|error| cannot_run(command.get_program(), &error))?;
    check_success(command.get_program(), status, waiter.told_to_end())?;

    check_same(&base, &open_base()?)?;
    let images = chain(&disk.path, Some(Format::Qcow2)).map_err(about_the_disk)?;
    if images[0].is_in_use()? {
        bail!(
            "a process that COMMAND started still has the disk open: it must end, or close the \
             disk, before COMMAND ends"
        );
    }
    // Called for the last time just before FILE gets its name.
    let waiter = Mutex::new(waiter);
    let end_if_told = |_| {
        let mut waiter = waiter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signal) = waiter.told_to_end() {
            remove_unfinished();
            let _ = fs::remove_dir_all(directory.path());
            end_by(signal);
        }
    };
    // Without SIZE the image is as large as COMMAND has made the disk.
    let options = options.backing(backing.name.as_bytes(), Some(base[0].format));
    let converted = Conversion::to_qcow2(options)
        .base(&base)
        .compressed(matches.get_flag("compress"))
        .existing(existing)
        .progress(&end_if_told)
        .write_file(&images, file)
        .map_err(|error| match error {
            Error::BackingFileChanged { .. } => anyhow!(
                "the disk after COMMAND: its backing file is not the one that it was created with"
            ),
            error => cannot_write(file, error),
        })?;
    say_written(matches, file, &describe_converted(&converted));
    Ok(())
}

/// Creates a hidden directory, which no other user can enter, on the file system of the new
/// image. It is removed, with its content, when it is dropped.
fn directory_beside(file: &Path) -> Result<TempDir> {
    let made = directory(file).and_then(|parent| {
        tempfile::Builder::new()
            .prefix(".qcow2-overlay-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
    });
    made.with_context(|| format!("cannot make a directory beside {file:?}"))
}

/// Checks that a command succeeded, and that no signal asked it to end: QEMU then ends with
/// success.
fn check_success(program: &OsStr, status: ExitStatus, told_to_end: Option<i32>) -> Result<()> {
    let (how, status) = match (status.code(), told_to_end) {
        (Some(0), None) => return Ok(()),
        (Some(0), Some(signal)) => (format!("was asked to end by signal {signal}"), 128 + signal),
        (Some(code), _) => (format!("failed with status {code}"), code),
        (None, _) => {
            let signal = status.signal().unwrap_or_default();
            (format!("was terminated by signal {signal}"), 128 + signal)
        }
    };
    Err(anyhow::Error::new(Failure {
        status: status as u8,
        message: format!("{program:?} {how}; its changes were discarded"),
    }))
}

/// Returns an error about the disk after COMMAND.
fn about_the_disk(error: Error) -> anyhow::Error {
    use FormatError::{ForeignFormat, NotQcow2, OtherFile};
    match error {
        Error::Format(NotQcow2 | OtherFile(_) | ForeignFormat(_)) => {
            anyhow!("the disk after COMMAND: it is not a qcow2 image")
        }
        error => anyhow::Error::new(error).context("the disk after COMMAND"),
    }
}

/// Checks that the images of a chain have not changed.
fn check_same(before: &[ImageInfo], after: &[ImageInfo]) -> Result<()> {
    for (before, after) in before.iter().zip(after) {
        if before.file_state() != after.file_state() {
            bail!(
                "{:?} was changed while COMMAND ran, so what COMMAND wrote may not match it",
                before.path
            );
        }
    }
    Ok(())
}
