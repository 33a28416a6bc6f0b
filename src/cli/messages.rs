//! The output of commands: an image, and a line about it.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clap::ArgMatches;
use qcow2_overlay::{create_file, flush, Error, Existing, Header, Layout, NewImage};

use crate::cli::human_size::human_size;

/// Writes what was asked for to standard output.
pub fn print(text: &str) -> Result<()> {
    write_to_stdout(|stdout| stdout.write_all(text.as_bytes()))
}

/// Lets `write` write to standard output, and reports late errors too.
pub fn write_to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let stdout = io::stdout().lock();
    let mut buffered = io::BufWriter::new(stdout);
    let written = write(&mut buffered).and_then(|()| buffered.flush());
    written
        .and_then(|()| flush(io::stdout()))
        .context("standard output")
}

/// Prints a message of this program to standard error. It changes nothing if that fails.
pub fn say(message: &str) {
    let _ = io::stderr().write_all(format!("qcow2-overlay: {message}\n").as_bytes());
}

/// Describes an image in a few words: `1 GiB overlay of "node.img" (raw)`.
pub fn describe(header: &Header) -> String {
    let size = human_size(header.virtual_size);
    match &header.backing_name {
        None => format!("{size} blank disk"),
        Some(name) => {
            let name = String::from_utf8_lossy(name);
            let format = header.backing_format().unwrap_or(b"format not recorded");
            format!(
                "{size} overlay of {name:?} ({})",
                String::from_utf8_lossy(format)
            )
        }
    }
}

/// Describes the result of a conversion in a few words.
pub fn describe_converted(converted: &NewImage) -> String {
    let size = human_size(converted.virtual_size);
    match &converted.header {
        None => format!("{size} raw disk"),
        Some(header) if header.backing_name.is_none() => format!("{size} disk"),
        Some(header) => describe(header),
    }
}

/// Returns what to do with an existing file, as `--force` says.
pub fn existing(matches: &ArgMatches) -> Existing {
    if matches.get_flag("force") {
        Existing::Replace
    } else {
        Existing::Keep
    }
}

/// Calls [`create_file`], with error messages for the command line.
pub fn write(file: &Path, layout: &Layout, existing: Existing) -> Result<()> {
    create_file(file, layout, existing).map_err(|error| cannot_write(file, error))
}

pub fn cannot_write(file: &Path, error: Error) -> anyhow::Error {
    match error {
        Error::Exists => anyhow::anyhow!("{file:?} exists; --force replaces it"),
        error => anyhow::Error::new(error).context(format!("cannot write {file:?}")),
    }
}

/// Says what was written to `file`, unless `-q` was given. It changes nothing if that fails.
pub fn say_written(matches: &ArgMatches, file: &Path, what: &str) {
    if !matches.get_flag("quiet") {
        let _ = print(&format!("Wrote {file:?}: {what}\n"));
    }
}
