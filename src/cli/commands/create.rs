//! `qcow2-overlay create`

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{bail, Result};
use clap::{Arg, ArgMatches, Command};
use qcow2_overlay::{Layout, OptionList, Options};
use rustix::fs::{fcntl_getfl, fstat, stat, OFlags};

use crate::cli::arguments::{self, either, flag, option_list, path_of, size_of};
use crate::cli::arguments::{OPTIONS_HELP, SIZE_HELP};
use crate::cli::backing::{size_over, Backing};
use crate::cli::failure::usage;
use crate::cli::messages::{describe, existing, say_written, write, write_to_stdout};

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
        .args(arguments::backing())
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
            .conflicts_with_all(["backing-format", "backing-format-of-qemu-11"]),
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
    let arguments = Arguments::new(matches)?;
    let file = path_of(matches, "file");
    let to_stdout = file.as_os_str() == "-";
    let options = arguments.options(file)?;
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
    let is_null = stat("/dev/null")
        .is_ok_and(|null| fstat(&stdout).is_ok_and(|stdout| stdout.st_rdev == null.st_rdev));
    if is_null && fcntl_getfl(&stdout).is_ok_and(|flags| flags.contains(OFlags::RDWR)) {
        bail!("standard output is closed; give the name of a file, or redirect it")
    } else {
        Ok(())
    }
}

/// The parsed arguments, checked before any file is opened.
struct Arguments {
    list: OptionList,
    backing: Option<Backing>,
    record_format: bool,
    standalone: bool,
    /// Whether the backing file is not opened.
    unopened: bool,
}

impl Arguments {
    fn new(matches: &ArgMatches) -> Result<Self> {
        let mut list = option_list(matches)?;
        list.size = either(size_of(matches)?, list.size, ["SIZE", "-o size"])?;
        let arguments = Arguments {
            backing: Backing::of(matches, "-b", &mut list)?,
            record_format: !matches.get_flag("no-backing-format"),
            standalone: matches.get_flag("standalone"),
            unopened: matches.get_flag("unopened"),
            list,
        };
        arguments.check()?;
        Ok(arguments)
    }

    fn check(&self) -> Result<()> {
        if let Some(backing) = &self.backing {
            if self.unopened && self.list.size.is_none() {
                return Err(usage("-u requires SIZE"));
            }
            if self.unopened && self.record_format && backing.format.is_none() {
                return Err(usage(
                    "-u requires the format of the backing file: -F raw or qcow2",
                ));
            }
        } else if self.unopened || self.standalone || !self.record_format {
            return Err(usage(
                "-u, --standalone and --no-backing-format require a backing file: -b NAME",
            ));
        } else if self.list.size.is_none() {
            return Err(usage(
                "give SIZE, or a backing file to take it from: -b NAME",
            ));
        }
        Ok(())
    }

    /// Returns the complete options. Reads the base, unless it is left unopened.
    fn options(&self, file: &Path) -> Result<Options> {
        let mut options = self.list.options();
        let Some(backing) = &self.backing else {
            return Ok(options);
        };
        let mut format = backing.format;
        if self.unopened {
            backing.check_is_not(file, &[])?;
        } else {
            let base = &backing.open_first(file, self.standalone)?;
            format = Some(base.format);
            options = options.virtual_size(size_over(&backing.name, base, self.list.size)?);
        }
        let format = format.filter(|_| self.record_format);
        Ok(options.backing(backing.name.as_bytes(), format))
    }
}
