//! `qcow2-overlay clone`

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{bail, Context, Result};
use clap::{Arg, ArgMatches, Command};
use qcow2_overlay::{
    chain, create_file, parse_size, BackingState, Error, FreshDisk, Layout, SECTOR,
};

use crate::cli::advice::{About, Role};
use crate::cli::arguments::{self, path_of};
use crate::cli::backing::check_outside;
use crate::cli::failure::usage;
use crate::cli::messages::{cannot_write, describe, existing, print};

pub fn command() -> Command {
    Command::new("clone")
        .about("Writes a fresh writable disk from an overlay, with the same base")
        .after_help(
            "The new disk stores the absolute path of its base, so it can be moved. It is backed\n\
             by the base of the overlay, or by the overlay itself if that has data of its own.\n\
             The whole chain is checked: each image must exist, have the recorded format, and, if\n\
             it has no data, be no smaller than its backing file. If FILE is already this disk and\n\
             nothing was written to it, it is left unchanged.\n\n\
             The disk records the length and the modification time of each of its backing files.\n\
             When one of them changes, the disk no longer matches its base: clone, exec and convert\n\
             then refuse the disk, and info --backing-chain reports the change.",
        )
        .arg(
            Arg::new("size")
                .long("size")
                .value_name("SIZE")
                .allow_hyphen_values(true)
                .help("Make the disk larger than the overlay, for example 40G or 1.5T"),
        )
        .arg(arguments::force())
        .arg(arguments::path(
            "overlay",
            "OVERLAY",
            "The qcow2 image to make the disk from",
        ))
        .arg(arguments::path("file", "FILE", "The disk to write"))
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let (overlay, file) = (path_of(matches, "overlay"), path_of(matches, "file"));
    let size = match matches.get_one::<String>("size") {
        Some(text) => Some(parse_size(text).map_err(|e| usage(format!("--size: {e}")))?),
        None => None,
    };
    let mut disk = FreshDisk::like(overlay)
        .with_context(|| About::new(Role::Overlay, format!("{overlay:?}")))?;
    if let Some(size) = size {
        let least = disk.overlay[0].virtual_size;
        if size.next_multiple_of(SECTOR) < least {
            bail!(
                "--size of {size} bytes is smaller than {overlay:?}, of {least} bytes: \
                 its end would be cut off"
            );
        }
        disk.options = disk.options.virtual_size(size);
    }
    let layout = Layout::new(&disk.options)?;
    let existing = existing(matches);
    check_outside(file, overlay, &disk.overlay)?;
    let what = describe(layout.header());
    match create_file(file, &layout, existing) {
        // Another process may have written it just now.
        Err(error @ Error::Exists) => {
            if has_content(file, &layout) {
                let _ = print(&format!("{file:?} is there already: {what}\n"));
                return Ok(());
            }
            check_record_of(file)?;
            Err(cannot_write(file, error))
        }
        written => written.map_err(|error| cannot_write(file, error)),
    }?;
    let _ = print(&format!("Wrote {file:?}: {what}\n"));
    Ok(())
}

/// Fails if the existing `file` is a disk that no longer matches its base.
fn check_record_of(file: &Path) -> Result<()> {
    match chain(file, None).map(|images| BackingState::of(&images)) {
        Ok(BackingState::Changed(change)) => bail!(
            "{file:?} exists, and its base {:?} has changed since it was written ({change}); \
             --force replaces it, and what was written to it is lost",
            change.path
        ),
        _ => Ok(()),
    }
}

/// Returns whether `file` has exactly the bytes that `layout` would write.
fn has_content(file: &Path, layout: &Layout) -> bool {
    let Ok(file) = File::open(file) else {
        return false;
    };
    let is_long = |length| length == layout.file_length();
    file.metadata()
        .is_ok_and(|found| found.is_file() && is_long(found.len()))
        && layout.write_to(&mut Comparer(file)).is_ok()
}

/// Compares what is written to it with the file, and fails at a difference.
struct Comparer(File);

impl Write for Comparer {
    fn write(&mut self, expected: &[u8]) -> io::Result<usize> {
        let mut found = vec![0; expected.len()];
        self.0.read_exact(&mut found)?;
        if found == expected {
            Ok(expected.len())
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
