//! `qcow2-overlay exec`: fresh disks for one command, and then that command.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process;

use anyhow::{Context, Result};
use clap::{value_parser, Arg, ArgAction, ArgMatches, Command};
use qcow2_overlay::FreshDisk;
use tempfile::TempDir;

use crate::cli::arguments::{self, command_of};
use crate::cli::bazel::environment::variable;
use crate::cli::bazel::kept_disks::{self, Keep};
use crate::cli::disks::fresh_disks::make_directory;
use crate::cli::disks::fresh_disks::{check_names, write_disk, Disk, DiskArgument};
use crate::cli::messages::say;
use crate::cli::process::child::{cannot_run, end_like, Waiter};

/// What to run, from the command line or from a test rule.
pub struct Job {
    pub disks: Vec<DiskArgument>,
    pub keep: Keep,
    pub command: process::Command,
}

const HELP: &str = "\
The disks are written to a new directory in $TEST_TMPDIR, which `bazel test` sets and
cleans, or to a temporary directory that is removed afterwards. COMMAND gets the variables
  NAME            the absolute path of the disk, NAME.qcow2
  NAME_BLOCKDEV   a complete value for QEMU's -blockdev: node name NAME, the driver of
                  each image of the chain, absolute paths. All images but the disk are
                  read-only. The disk frees what a guest discards (not with compat=0.10),
                  and ignores flushes.
They replace variables of the same names. Several disks can have the same OVERLAY. It is
refused if its base has changed since it was written (see clone), if it is smaller than
its base, or if its base does not have the recorded format.

In `bazel test` COMMAND replaces the tool, as with exec(3). If the tool has to remove the
temporary directory, or to keep the disks on failure, it waits for COMMAND instead, and
forwards TERM, HUP, USR1 and USR2 to it, but not INT and QUIT, which a terminal sends to
both. It then exits with the status of COMMAND, or is terminated by the same signal. KILL
leaves the directory behind.

--keep puts the disks, with a README.txt, into the directory `disks` of
$TEST_UNDECLARED_OUTPUTS_DIR, which Bazel keeps: `always` writes them there at once,
`on_failure` moves them there when COMMAND fails. If `disks` exists, `disks.2` is used.

Exit status: that of COMMAND; 127 if COMMAND does not exist, 126 if it cannot be run,
1 if a disk cannot be made, 2 for a wrong argument.";

pub fn command() -> Command {
    Command::new("exec")
        .about("Runs a command with fresh writable disks, each made from an overlay")
        .override_usage("qcow2-overlay exec [OPTIONS] --disk NAME=OVERLAY ... -- COMMAND [ARG...]")
        .after_help(HELP)
        .arg(
            Arg::new("disk")
                .long("disk")
                .value_name("NAME=OVERLAY")
                .required(true)
                .action(ArgAction::Append)
                .value_parser(value_parser!(OsString))
                .help("Make a disk from the qcow2 image OVERLAY; can be repeated"),
        )
        .arg(
            Arg::new("keep")
                .long("keep")
                .value_name("WHEN")
                .value_parser(Keep::NAMES)
                .default_value("never")
                .help("When to keep the disks"),
        )
        .arg(arguments::command())
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let disks = matches.get_many::<OsString>("disk").into_iter().flatten();
    let keep = matches.get_one::<String>("keep").map(String::as_str);
    start(Job {
        disks: disks
            .map(|text| DiskArgument::parse(text))
            .collect::<Result<_>>()?,
        keep: keep.and_then(Keep::named).expect("clap checks it"),
        command: command_of(matches),
    })
}

/// Writes the disks and becomes the command, or waits for it and ends as it did.
pub fn start(mut job: Job) -> Result<()> {
    check_names(&job.disks)?;
    let test_directory = variable("TEST_TMPDIR");
    // If there is work to do after the command, this process waits for it. It catches
    // signals from now on, so that a signal that ends the command leaves no directory behind.
    let waiter = match (job.keep, &test_directory) {
        (Keep::Never, Some(_)) | (Keep::Always, _) => None,
        _ => Some(Waiter::new().context("signals")?),
    };
    let outputs = match job.keep {
        Keep::Never => None,
        _ => Some(kept_disks::outputs()?),
    };
    // Before there is a directory, which could not be removed if no file can be opened.
    let fresh: Vec<FreshDisk> = job
        .disks
        .iter()
        .map(DiskArgument::read)
        .collect::<Result<_>>()?;
    // Removed, with its content, when this function returns.
    let directory = match (&outputs, job.keep) {
        (Some(outputs), Keep::Always) => kept_disks::directory(outputs)?,
        _ => private_directory(test_directory)?,
    };
    let place = fs::canonicalize(directory.path())?;
    let write = |(request, fresh): (&DiskArgument, FreshDisk)| {
        write_disk(&place, &request.name, &request.about(), fresh)
    };
    let disks: Vec<Disk> = job
        .disks
        .iter()
        .zip(fresh)
        .map(write)
        .collect::<Result<_>>()?;
    for disk in &disks {
        let blockdev = format!("{}_BLOCKDEV", disk.name);
        job.command.env(&disk.name, &disk.path);
        job.command.env(blockdev, &disk.blockdev);
    }
    let Some(mut waiter) = waiter else {
        if job.keep == Keep::Always {
            kept_disks::write_note(directory.path(), &disks)?;
            kept_disks::say_where(&directory.keep());
        }
        // Returns only if it fails.
        let error = job.command.exec();
        return Err(cannot_run(job.command.get_program(), &error));
    };
    let ended = waiter.run(&mut job.command);
    let status = ended.map_err(|error| cannot_run(job.command.get_program(), &error))?;
    if let (Some(outputs), false) = (outputs, status.success()) {
        // The failure of the command is what counts.
        if let Err(error) = kept_disks::move_disks(&outputs, disks) {
            say(&format!("{error:#}"));
        }
    }
    drop(directory);
    end_like(status)
}

/// Creates a directory that no other user can enter: disks can hold secrets.
fn private_directory(test_directory: Option<PathBuf>) -> Result<TempDir> {
    let parent = test_directory.unwrap_or_else(|| {
        // That of an empty TMPDIR would be the current directory.
        let directory = env::temp_dir();
        if directory.as_os_str().is_empty() {
            "/tmp".into()
        } else {
            directory
        }
    });
    let mut builder = tempfile::Builder::new();
    builder
        .prefix("qcow2-")
        .permissions(Permissions::from_mode(0o700));
    make_directory(&builder, &parent)
}
