//! `qcow2-overlay provision`: images with what a command writes to disks.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, ExitStatus};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use clap::{value_parser, Arg, ArgMatches, Command};
use qcow2_overlay::{remove_unfinished, FreshDisk};

use crate::cli::arguments::{self, command_of, either, option_list, path_of, size_of};
use crate::cli::arguments::{OPTIONS_HELP, SIZE_HELP};
use crate::cli::backing::{directory, Backing};
use crate::cli::disks::copies::give_copies;
use crate::cli::disks::derived::{Derived, DISK};
use crate::cli::disks::names::{check_names, named, named_argument, Named};
use crate::cli::disks::place::{remove, Place};
use crate::cli::disks::results::{
    check_distinct, check_file, name_all, with_outputs, ChangedCopy, Complete,
};
use crate::cli::failure::{usage, Failure};
use crate::cli::messages::{describe_converted, existing, say_written};
use crate::cli::process::child::{cannot_run, Waiter};
use crate::cli::process::signals::end_by;

/// The values of the options for further disks and copies.
const BACKING: &str = "NAME=BACKING";
const FILE: &str = "NAME=FILE";
const PATH: &str = "NAME=PATH";

const HELP: &str = "
COMMAND gets the variables
  DISK            the absolute path of an empty overlay of the backing file, DISK.qcow2
  DISK_BLOCKDEV   a complete value for QEMU's -blockdev, as in exec; node name DISK
It writes to that disk, with QEMU or otherwise, and exits. Its standard output goes to
standard error, like the messages of the tool, because Bazel prints the two separately. FILE
then holds what differs from the backing file: the same content gives the same bytes,
whatever the order of the writes. Internal snapshots and bitmaps are left out. The backing
file and its own backing chain are never written to.

COMMAND can make the disk larger if SIZE is not given.

With --disk DATA=BACKING --disk-output DATA=FILE, COMMAND gets another disk, DATA and
DATA_BLOCKDEV, which becomes an image with the same options. BACKING is a qcow2 image, relative
to the directory of its FILE, and is stored unchanged, like NAME of -b. The disk keeps the size
of BACKING. With --copy VARS=PATH --copy-output VARS=PATH, COMMAND gets a copy of a file or
directory, which it can change, as in exec. An output that is a directory may exist if it is
empty. Names are as in exec.

No output is written if COMMAND fails, if a process still has a disk open for writing, if
QEMU has marked a disk as corrupt, if a file of a backing chain has changed, or if the tool
receives TERM, HUP, INT or QUIT, even if COMMAND then succeeds, as QEMU does. TERM, HUP, USR1
and USR2 are forwarded to COMMAND; INT and QUIT are not, because a terminal sends these to both.

With --timeout, COMMAND gets TERM after SECONDS, and KILL 5 s later. It and the processes that it
starts are then a process group of their own, which gets all signals, cannot read from a terminal,
and is killed when the tool ends. A TERM, HUP, INT or QUIT is followed by KILL too.

The disks and copies are in a hidden directory beside FILE, .qcow2-overlay-*, which is removed
at the end. The file system needs space for what COMMAND writes and for FILE. It must also be
that of the outputs of copies.

Exit status: that of COMMAND if it fails; 127 if COMMAND does not exist, 126 if it cannot
be run, 124 if it took too long, 128 plus the number of the signal if a signal ended it; 1 or 2
for other errors.";

pub fn command() -> Command {
    Command::new("provision")
        .about("Runs a command with disks, and writes overlays with its changes")
        .override_usage("qcow2-overlay provision [OPTIONS] -b NAME FILE [SIZE] -- COMMAND [ARG...]")
        .after_help([OPTIONS_HELP, SIZE_HELP, HELP].concat())
        .args(arguments::backing())
        .arg(arguments::probe())
        .arg(arguments::standalone())
        .arg(arguments::compress())
        .arg(arguments::options())
        .args(further_arguments())
        .arg(arguments::force())
        .arg(arguments::quiet())
        .arg(arguments::path("file", "FILE", "The image to write"))
        .arg(arguments::size())
        .arg(arguments::command())
}

/// Returns the arguments for what else COMMAND may write to, and for how long it may run.
fn further_arguments() -> [Arg; 5] {
    [
        named_argument(
            "disk",
            BACKING,
            "Give COMMAND another disk; can be repeated",
        ),
        named_argument("disk-output", FILE, "The image to write for that disk"),
        named_argument(
            "copy",
            PATH,
            "Give COMMAND a copy of the file or directory PATH; can be repeated",
        ),
        named_argument(
            "copy-output",
            PATH,
            "Where to write that copy as COMMAND leaves it",
        ),
        Arg::new("timeout")
            .long("timeout")
            .value_name("SECONDS")
            .value_parser(value_parser!(u32).range(1..))
            .help("Terminate COMMAND if it takes longer"),
    ]
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let file = path_of(matches, "file");
    let mut list = option_list(matches)?;
    let Some(backing) = Backing::of(matches, "-b", &mut list)? else {
        return Err(usage("give a backing file: -b NAME"));
    };
    list.size = either(size_of(matches)?, list.size, ["SIZE", "-o size"])?;
    let mut command = command_of(matches);
    let further = named(matches, "disk", BACKING)?;
    let files = named(matches, "disk-output", FILE)?;
    let further = with_outputs("disk", &further, &files)?;
    let originals = named(matches, "copy", PATH)?;
    let paths = named(matches, "copy-output", PATH)?;
    let copies = with_outputs("copy", &originals, &paths)?;
    check_all_names(&further, &originals)?;
    let others = further.iter().chain(&copies).map(|(_, path)| *path);
    let outputs: Vec<&Path> = [file].into_iter().chain(others).collect();
    check_distinct(&outputs)?;
    // What cannot be written at the end is an error before the command runs.
    let existing = existing(matches);
    for file in [file].into_iter().chain(further.iter().map(|it| it.1)) {
        check_file(file, existing)?;
    }
    let changed = |&(copy, path)| ChangedCopy { copy, path };
    let copies: Vec<ChangedCopy> = copies.iter().map(changed).collect();
    for copy in &copies {
        copy.check(existing)?;
    }
    let is_standalone = matches.get_flag("standalone");
    let is_compressed = matches.get_flag("compress");
    let mut disks = vec![Derived::main(file, backing, is_standalone, &list)?];
    for (disk, file) in further {
        disks.push(Derived::further(disk, file, &list.options())?);
    }
    for output in outputs {
        for disk in &disks {
            disk.check_outside(output)?;
        }
    }

    // Signals are caught from now on, so that none leaves a directory behind.
    let mut waiter = Waiter::new().context("signals")?;
    let fresh: Vec<FreshDisk> = disks.iter().map(Derived::fresh).collect::<Result<_>>()?;
    // Not earlier: it could not be removed if no file can be opened.
    let directory = directory_beside(file)?;
    let place = directory.path();
    let mut written = Vec::new();
    for (disk, fresh) in disks.iter().zip(fresh) {
        let disk = disk.write_disk(place, fresh)?;
        disk.give_to(&mut command);
        written.push(disk);
    }
    give_copies(&mut command, &originals, place)?;
    // Bazel prints what an action writes to standard error before the rest, so with two streams
    // the reason of a failure would come before what led to it.
    command.stdout(io::stderr());
    run_command(
        &mut waiter,
        &mut command,
        matches.get_one("timeout").copied(),
    )?;

    let waiter = Mutex::new(waiter);
    let end_if_told = |_| {
        let mut waiter = waiter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signal) = waiter.told_to_end() {
            waiter.end_group();
            remove_unfinished();
            let _ = remove(place);
            end_by(signal);
        }
    };
    let mut results = Vec::new();
    let mut said = Vec::new();
    for (derived, disk) in disks.iter().zip(&written) {
        let images = derived.after(disk)?;
        let (image, unnamed) =
            derived.write_image(&images, is_compressed, existing, &end_if_told)?;
        results.push((&*derived.file, Complete::Image(unnamed)));
        said.push((&derived.file, describe_converted(&image)));
    }
    let stage = place.join(STAGE);
    if !copies.is_empty() {
        fs::create_dir(&stage).with_context(|| format!("cannot write {stage:?}"))?;
    }
    for copy in &copies {
        results.push((copy.path, copy.complete(place, &stage)?));
    }
    // For the last time just before the first file gets its name.
    end_if_told(0);
    name_all(results, existing)?;
    for (file, what) in said {
        say_written(matches, file, &what);
    }
    Ok(())
}

/// The directory, beside the disks, of complete copies. No disk has this name.
const STAGE: &str = ".complete";

/// Checks the names of all disks and copies, and that none is that of the main disk.
fn check_all_names(further: &[(&Named, &Path)], copies: &[Named]) -> Result<()> {
    let disk = |name: &str| Named {
        name: name.to_owned(),
        path: Default::default(),
    };
    let further = further.iter().map(|(it, _)| disk(&it.name));
    let disks: Vec<Named> = [disk(DISK)].into_iter().chain(further).collect();
    check_names(&disks, copies)
}

/// Runs the command, which must succeed.
fn run_command(
    waiter: &mut Waiter,
    command: &mut process::Command,
    timeout: Option<u32>,
) -> Result<()> {
    let ended = match timeout {
        None => waiter.run(command).map(Some),
        Some(seconds) => waiter.run_for(seconds, command),
    };
    let program = command.get_program();
    let status = ended.map_err(|error| cannot_run(program, &error))?;
    let failed = match status {
        Some(status) => failure(status, waiter.told_to_end()),
        None => {
            let seconds = timeout.unwrap_or_default();
            let how = "was terminated after";
            let given_as = "--timeout; in a BUILD file: timeout";
            Some((format!("{how} {seconds} s ({given_as})"), TIMED_OUT))
        }
    };
    match failed {
        None => Ok(()),
        Some((how, status)) => Err(anyhow::Error::new(Failure {
            status: status as u8,
            message: format!("{program:?} {how}; its changes were discarded"),
        })),
    }
}

/// The exit status of timeout(1) when time is up.
const TIMED_OUT: i32 = 124;

/// Creates a hidden directory, which no other user can enter, on the file system of the new
/// image. It is removed, with its content, when it is dropped.
fn directory_beside(file: &Path) -> Result<Place> {
    let made = directory(file).and_then(|parent| Place::private(".qcow2-overlay-", &parent));
    made.with_context(|| format!("cannot make a directory beside {file:?}"))
}

/// Returns how a command failed, and the exit status for that. One that a signal asked to end has
/// failed in any case: QEMU then ends with success.
fn failure(status: ExitStatus, told_to_end: Option<i32>) -> Option<(String, i32)> {
    match (status.code(), told_to_end) {
        (Some(0), None) => None,
        (Some(0), Some(signal)) => {
            Some((format!("was asked to end by signal {signal}"), 128 + signal))
        }
        (Some(code), _) => Some((format!("failed with status {code}"), code)),
        (None, _) => {
            let signal = status.signal().unwrap_or_default();
            Some((format!("was terminated by signal {signal}"), 128 + signal))
        }
    }
}
