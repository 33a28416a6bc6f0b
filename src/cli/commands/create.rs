//! `qcow2-overlay create`

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{bail, Context, Result};
use clap::{Arg, ArgMatches, Command};
use qcow2_overlay::{chain, check_fit, ImageInfo, Layout, Options};
use rustix::fs::{fcntl_getfl, fstat, OFlags};

use crate::cli::arguments::{self, flag, path_of};
use crate::cli::backing::{backing_path, check_is_new, check_stands_alone, size_over};
use crate::cli::messages::{describe, existing, say_written, write, write_to_stdout};
use crate::cli::option_help::{OPTIONS_HELP, SIZE_HELP};
use crate::cli::request::Request;

const HELP: &str = "
The backing file and its own backing chain must exist, be no larger than the disk, and not
include FILE. With -u this is only checked when clone or exec opens the disk.";

pub fn command() -> Command {
    Command::new("create")
        .about("Writes a new image: an overlay of a backing file, or a blank disk")
        .after_help([OPTIONS_HELP, SIZE_HELP, HELP].concat())
        .arg(
            Arg::new("image-format")
                .short('f')
                .value_name("FORMAT")
                .value_parser(["qcow2"])
                .help("Format of the image"),
        )
        .arg(arguments::backing().short('b'))
        .arg(arguments::backing_format())
        .arg(
            flag(
                "unopened",
                "Do not open the backing file; needs SIZE and -F",
            )
            .short('u')
            .conflicts_with_all(["probe", "standalone"]),
        )
        .arg(
            flag(
                "no-backing-format",
                "Do not record the format of the backing file",
            )
            .long("no-backing-format")
            .conflicts_with("backing-format"),
        )
        .arg(arguments::probe())
        .arg(arguments::standalone())
        .arg(arguments::options())
        .arg(arguments::force())
        .arg(arguments::quiet())
        .arg(arguments::path(
            "file",
            "FILE",
            "The image to write; - is standard output",
        ))
        .arg(arguments::size())
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let request = Request::new(matches)?;
    let file = path_of(matches, "file");
    let to_stdout = file.as_os_str() == "-";
    let options = request.options(file)?;
    let layout = Layout::new(&options)?;
    if to_stdout {
        check_is_open(io::stdout())?;
        return write_to_stdout(|mut stdout| layout.write_to(&mut stdout));
    }
    write(file, &layout, existing(matches))?;
    say_written(matches, file, &describe(layout.header()));
    Ok(())
}

/// Fails if standard output is closed. Rust replaces it by `/dev/null`, opened for reading and
/// writing; a shell that redirects to `/dev/null` opens it only for writing.
fn check_is_open(stdout: io::Stdout) -> Result<()> {
    let null = fs::metadata("/dev/null").and_then(|null| Ok((null.rdev(), fstat(&stdout)?)));
    let is_null = null.is_ok_and(|(device, stdout)| stdout.st_rdev == device);
    match is_null && fcntl_getfl(&stdout).is_ok_and(|flags| flags.contains(OFlags::RDWR)) {
        true => bail!("standard output is closed; give the name of a file, or redirect it"),
        false => Ok(()),
    }
}

impl Request {
    /// Returns the complete options. Reads the base, unless it is left unopened.
    fn options(&self, file: &Path) -> Result<Options> {
        let Some(name) = &self.backing else {
            return Ok(self.list.options(self.size.unwrap_or_default()));
        };
        let base = match self.unopened {
            true => Vec::new(),
            false => self.open_base(file, name)?,
        };
        if file.as_os_str() != "-" {
            check_is_new(file, name, &base)?;
        }
        let mut format = self.format;
        let mut size = self.size;
        if let Some(base) = base.first() {
            format = Some(base.format);
            size = Some(size_over(name, base, size)?);
        }
        let options = self.list.options(size.unwrap_or_default());
        let format = format.filter(|_| self.record_format);
        Ok(options.backing(name.as_bytes(), format))
    }

    /// Reads the base and its backing chain, or only the file that is probed in its place.
    fn open_base(&self, file: &Path, name: &OsStr) -> Result<Vec<ImageInfo>> {
        let path = match &self.probe {
            Some(path) => path.clone(),
            None => backing_path(file, name)?,
        };
        let about = || format!("backing file {path:?}");
        // With --standalone nothing else is opened, whatever the image names.
        let images = if self.standalone || self.probe.is_some() {
            vec![ImageInfo::read(&path, self.format).with_context(about)?]
        } else {
            chain(&path, self.format).with_context(about)?
        };
        if self.standalone {
            check_stands_alone("backing file ", &images[0])?;
        }
        check_fit(&images).with_context(about)?;
        Ok(images)
    }
}
