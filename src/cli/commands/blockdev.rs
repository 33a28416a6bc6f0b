//! `qcow2-overlay blockdev`

use std::fs;
use std::path::{self, Path};

use anyhow::{bail, Context, Result};
use clap::{Arg, ArgMatches, Command};
use qcow2_overlay::{chain, FreshDisk, Options};

use crate::cli::advice::{About, Role};
use crate::cli::arguments::{self, path_of};
use crate::cli::bazel::environment::variable;
use crate::cli::disks::block_node::blockdev_of;
use crate::cli::disks::names::is_node_name;
use crate::cli::failure::usage;
use crate::cli::messages::print;

pub fn command() -> Command {
    Command::new("blockdev")
        .about("Prints a complete value for QEMU's -blockdev, for any image and its chain")
        .after_help(
            "The value is that of NAME_BLOCKDEV in exec: the driver of each image of the chain and\n\
             absolute paths, so QEMU probes no format and follows no name in an image. All images\n\
             but FILE are read-only; FILE frees what a guest discards, and ignores flushes. The\n\
             chain is checked as by clone. With a shell:\n\n  \
             qemu-system-x86_64 -blockdev \"$(qcow2-overlay blockdev disk.qcow2)\" \\\n      \
             -device virtio-blk,drive=disk\n\n\
             A FILE that is write-protected, as Bazel's outputs are, or that is in the runfiles of a\n\
             test needs --read-only. This holds for root too, who could change a build output.",
        )
        .arg(
            Arg::new("node-name")
                .long("node-name")
                .value_name("NAME")
                .default_value("disk")
                .help("The name of the block node, for -device drive=NAME"),
        )
        .arg(arguments::flag("read-only", "Let QEMU only read FILE").long("read-only"))
        .arg(arguments::path("file", "FILE", "A raw or qcow2 image"))
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let file = path_of(matches, "file");
    let name = matches.get_one::<String>("node-name");
    let name = name.expect("it has a default");
    if !is_node_name(name, b"-._") {
        return Err(usage(format!(
            "--node-name {name:?}: give a letter, then up to 30 letters, digits and - . _"
        )));
    }
    let is_read_only = matches.get_flag("read-only");
    let about = || About::new(Role::Subject, format!("{file:?}"));
    let images = chain(file, None).with_context(about)?;
    if !is_read_only && is_protected(file) {
        bail!(
            "{file:?} is write-protected or in the runfiles of a test: give --read-only, or make a \
             writable disk of it with qcow2-overlay clone"
        );
    }
    // Checks the chain, and finds the real paths of its images.
    let disk = FreshDisk::backed_by(&images, Options::new(0)).with_context(about)?;
    let value = blockdev_of(name, &disk.backing_chain, is_read_only).with_context(about)?;
    print(&format!("{value}\n"))
}

/// Returns whether a file is not to be written to. Root can open any file for writing, and a remote
/// worker does not protect the files of a test.
fn is_protected(file: &Path) -> bool {
    let is_in = |variable_name| {
        let place = variable(variable_name).and_then(|place| path::absolute(place).ok());
        let file = path::absolute(file);
        place.is_some_and(|place| file.is_ok_and(|file| file.starts_with(place)))
    };
    fs::metadata(file).is_ok_and(|found| found.permissions().readonly())
        || is_in("RUNFILES_DIR")
        || is_in("TEST_SRCDIR")
}
