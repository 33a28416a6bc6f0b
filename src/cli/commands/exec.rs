//! `qcow2-overlay exec`: fresh disks and copies for one command, and then that command.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{self, PathBuf};
use std::process;

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Command};
use qcow2_overlay::Existing;

use crate::cli::arguments::{self, command_of};
use crate::cli::bazel::environment::variable;
use crate::cli::bazel::kept_disks::{self, Keep, KeepAs, Made};
use crate::cli::bazel::kept_images::replace_by_images;
use crate::cli::bazel::kept_note::write_note;
use crate::cli::disks::copies::give_copies;
use crate::cli::disks::fresh_disks::{give_disks, read_all};
use crate::cli::disks::names::{
    check_names, named, named_argument, Named, RESERVED, RESERVED_STARTS,
};
use crate::cli::disks::place::Place;
use crate::cli::failure::usage;
use crate::cli::messages::say;
use crate::cli::process::child::{cannot_run, end_like, Waiter};

/// What to run, from the command line or from a test rule.
pub struct Job {
    pub disks: Vec<Named>,
    pub copies: Vec<Named>,
    pub keep: Keep,
    pub keep_as: KeepAs,
    pub command: process::Command,
}

/// The values of `--disk` and `--copy`.
const DISK: &str = "NAME=OVERLAY";
const COPY: &str = "NAME=PATH";

/// The variable for the path of this program.
const TOOL: &str = "QCOW2_OVERLAY";

const HELP: &str = "\
The disks and copies are written to a new directory in $TEST_TMPDIR, which `bazel test` sets
and cleans, or to a temporary directory that is removed afterwards. COMMAND gets the variables
  NAME            the absolute path of the disk, NAME.qcow2, or of the copy, NAME
  NAME_BLOCKDEV   for a disk, a complete value for QEMU's -blockdev: node name NAME, the
                  driver of each image of the chain, absolute paths. All images but the
                  disk are read-only. The disk frees what a guest discards (not with
                  compat=0.10), and ignores flushes.
  QCOW2_OVERLAY   the absolute path of this tool, for disks that COMMAND itself makes:
                  \"$QCOW2_OVERLAY\" clone \"$NAME\" FILE
They replace variables of the same names. Several disks can have the same OVERLAY. It is
refused if its base has changed since it was written (see clone), if it is smaller than
its base, or if its base does not have the recorded format.

A copy is for what is not a disk: firmware variables, which must be raw, or the state of a
TPM. The permissions are those of PATH, and writing is allowed. Links that lead out of a
directory are followed. Sockets, pipes and devices in it are left out.

In `bazel test` COMMAND replaces the tool, as with exec(3). If the tool has to remove the
temporary directory, to keep something on failure or to compress it, it waits for COMMAND, and
forwards TERM, HUP, USR1 and USR2 to it, but not INT and QUIT, which a terminal sends to
both. It then exits with the status of COMMAND, or is terminated by the same signal. KILL
leaves the directory behind.

--keep puts the disks, with a README.txt, and the copies into the directory `disks` of
$TEST_UNDECLARED_OUTPUTS_DIR, which Bazel keeps: `always` writes them there at once,
`on_failure` moves them there when COMMAND fails. If `disks` exists, `disks.2` is used.
--keep-as image then replaces each disk by one file that needs no base, as
`convert -c -o compression_type=zstd` writes it, for QEMU 5.1 or newer. A disk remains an
overlay, with a message, if that fails, if a process still has it open 3 s after COMMAND has
ended, if it has internal snapshots or bitmaps, or if QEMU has marked it as corrupt; without
one if KILL ends the tool. Other signals are ignored meanwhile. The exit status is that of
COMMAND.

Exit status: that of COMMAND; 127 if COMMAND does not exist, 126 if it cannot be run,
1 if a disk or copy cannot be made, 2 for a wrong argument.";

pub fn command() -> Command {
    Command::new("exec")
        .about("Runs a command with fresh writable disks, each made from an overlay, and copies")
        .override_usage(
            "qcow2-overlay exec [OPTIONS] --disk NAME=OVERLAY ... --copy NAME=PATH ... -- \
             COMMAND [ARG...]",
        )
        .after_help(format!("{HELP}\n\n{}", help_of_names()))
        .arg(
            named_argument(
                "disk",
                DISK,
                "Make a disk from the qcow2 image OVERLAY; can be repeated",
            )
            .required_unless_present("copy"),
        )
        .arg(named_argument(
            "copy",
            COPY,
            "Copy the file or directory PATH; can be repeated",
        ))
        .arg(
            Arg::new("keep")
                .long("keep")
                .value_name("WHEN")
                .value_parser(Keep::NAMES)
                .default_value("never")
                .help("When to keep the disks and copies"),
        )
        .arg(
            Arg::new("keep-as")
                .long("keep-as")
                .value_name("WHAT")
                .value_parser(KeepAs::NAMES)
                .default_value("overlay")
                .help("As what to keep the disks"),
        )
        .arg(arguments::command())
}

fn help_of_names() -> String {
    format!(
        "NAME is a letter and up to 30 letters, digits or _. These names are refused:\n\
         {}, and those that start with\n{}.",
        RESERVED.join(", "),
        RESERVED_STARTS.join(", ")
    )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let word = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let keep = word("keep").and_then(Keep::named).expect("clap checks it");
    let keep_as = word("keep-as").and_then(KeepAs::named);
    let keep_as = keep_as.expect("clap checks it");
    if (keep, keep_as) == (Keep::Never, KeepAs::Image) {
        return Err(usage(
            "--keep-as is about disks that are kept: give --keep on_failure or --keep always",
        ));
    }
    start(Job {
        disks: named(matches, "disk", DISK)?,
        copies: named(matches, "copy", COPY)?,
        keep,
        keep_as,
        command: command_of(matches),
    })
}

/// Writes the disks and copies, and becomes the command, or waits for it and ends as it did.
pub fn start(mut job: Job) -> Result<()> {
    check_names(&job.disks, &job.copies)?;
    let test_directory = variable("TEST_TMPDIR");
    // If there is work to do after the command, this process waits for it. It catches
    // signals from now on, so that a signal that ends the command leaves no directory behind.
    let waiter = match (job.keep, job.keep_as, &test_directory) {
        (Keep::Never, _, Some(_)) | (Keep::Always, KeepAs::Overlay, _) => None,
        _ => Some(Waiter::new().context("signals")?),
    };
    let outputs = match job.keep {
        Keep::Never => None,
        _ => Some(kept_disks::outputs()?),
    };
    // Before there is a directory, which could not be removed if no file can be opened.
    let fresh = read_all(&job.disks)?;
    // Removed, with its content, when this function returns.
    let mut directory = match (&outputs, job.keep) {
        (Some(outputs), Keep::Always) => kept_disks::directory(outputs)?,
        _ => private_directory(test_directory)?,
    };
    let place = fs::canonicalize(directory.path())?;
    let disks = give_disks(&mut job.command, &job.disks, fresh, &place)?;
    let copies = give_copies(&mut job.command, &job.copies, &place)?;
    if let Some(tool) = own_path() {
        job.command.env(TOOL, tool);
    }
    let made = Made { disks, copies };
    if job.keep == Keep::Always {
        write_note(&place, &made.disks, Existing::Keep)?;
        directory.keep();
        kept_disks::say_where(directory.path(), &made);
    }
    let Some(mut waiter) = waiter else {
        // Returns only if it fails.
        let error = job.command.exec();
        return Err(cannot_run(job.command.get_program(), &error));
    };
    let ended = waiter.run(&mut job.command);
    let status = ended.map_err(|error| cannot_run(job.command.get_program(), &error))?;
    let mut kept = match (job.keep, outputs) {
        (Keep::Always, _) => made.disks,
        (Keep::OnFailure, Some(outputs)) if !status.success() => {
            // The failure of the command is what counts.
            kept_disks::move_all(&outputs, made).unwrap_or_else(|error| {
                say(&format!("{error:#}"));
                Vec::new()
            })
        }
        _ => Vec::new(),
    };
    if job.keep_as == KeepAs::Image {
        replace_by_images(&mut kept);
    }
    drop(directory);
    end_like(status)
}

/// Returns the path of this program. The executable of a test is a link to it, beside which are the
/// runfiles of the test: by that name, a subcommand would be taken for one that `bazel run` starts.
fn own_path() -> Option<PathBuf> {
    // Without /proc, Linux does not know it.
    let by_name = |_| path::absolute(env::args_os().next().unwrap_or_default());
    let path = env::current_exe().or_else(by_name).ok()?;
    fs::canonicalize(path).ok()
}

/// Creates a directory for disks, by default where temporary files are.
fn private_directory(test_directory: Option<PathBuf>) -> Result<Place> {
    let parent = test_directory.unwrap_or_else(|| {
        // That of an empty TMPDIR would be the current directory.
        let directory = env::temp_dir();
        if directory.as_os_str().is_empty() {
            "/tmp".into()
        } else {
            directory
        }
    });
    Place::private("qcow2-", &parent).context("cannot make a directory for the disks")
}
