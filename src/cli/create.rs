//! `qcow2-overlay create`

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use clap::{value_parser, Arg, ArgAction, ArgMatches, Command};
use qcow2_overlay::{chain, check_fit, ImageInfo, Layout, Options, SECTOR};
use rustix::fs::{fcntl_getfl, fstat, OFlags};

use crate::cli::backing::{backing_path, check_is_new, check_stands_alone};
use crate::cli::option_help::OPTIONS_HELP;
use crate::cli::output::{describe, existing, say, write};
use crate::cli::request::Request;

const SIZE_HELP: &str = "
SIZE is in bytes or has a suffix K, M, G, T, P or E, and may have a fraction, as 1.5G.
It is rounded up to 512 bytes; without it the disk is as large as the backing file's.

The backing file, and all beneath it, must be there, be no larger than the disk, and not be
FILE. With -u nothing of this is looked at, until clone or exec opens the disk.";

pub fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("create")
        .about("Writes a new image: an overlay of a backing file, or a blank disk")
        .after_help([OPTIONS_HELP, SIZE_HELP].concat())
        .arg(
            Arg::new("image-format")
                .short('f')
                .value_name("FORMAT")
                .value_parser(["qcow2"])
                .help("Format of the image; only qcow2"),
        )
        .arg(
            Arg::new("backing")
                .short('b')
                .value_name("NAME")
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString))
                .help("Backing file, relative to the directory of FILE; stored as it is"),
        )
        .arg(
            Arg::new("backing-format")
                .short('F')
                .value_name("FORMAT")
                .value_parser(["raw", "qcow2"])
                .help("Format of the backing file [default: what its content says]"),
        )
        .arg(
            Arg::new("unopened")
                .short('u')
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["probe", "standalone"])
                .help("Do not open the backing file; needs SIZE and -F"),
        )
        .arg(
            flag("no-backing-format")
                .conflicts_with("backing-format")
                .help("Do not record the format of the backing file"),
        )
        .arg(
            Arg::new("probe")
                .long("probe")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Open PATH as the backing file, which is at NAME later"),
        )
        .arg(flag("standalone").help("Fail if the backing file has a backing file of its own"))
        .arg(
            Arg::new("options")
                .short('o')
                .value_name("OPTION=VALUE,...")
                .action(ArgAction::Append)
                .value_parser(value_parser!(OsString))
                .help("Options of the image, see below"),
        )
        .arg(flag("force").help("Replace FILE if it exists"))
        .arg(flag("quiet").short('q').help("Do not say what was written"))
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The image to write; - is standard output"),
        )
        .arg(
            Arg::new("size")
                .value_name("SIZE")
                .allow_hyphen_values(true)
                .help("Size of the disk, see below"),
        )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let request = Request::new(matches)?;
    let file = matches
        .get_one::<PathBuf>("file")
        .expect("clap requires FILE");
    let to_stdout = file.as_os_str() == "-";
    let options = request.options(file)?;
    let layout = Layout::new(&options)?;
    if to_stdout {
        check_is_open(io::stdout())?;
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let written = layout.write_to(&mut stdout);
        return written
            .and_then(|()| io::Write::flush(&mut stdout))
            .context("standard output");
    }
    write(file, &layout, existing(matches))?;
    match matches.get_flag("quiet") {
        true => Ok(()),
        false => say(
            file,
            &format!("Wrote {file:?}: {}\n", describe(layout.header())),
        ),
    }
}

/// Rust gives a program whose standard output is closed `/dev/null` instead, open for
/// reading and writing, where shells that mean it open it for writing.
fn check_is_open(stdout: io::Stdout) -> Result<()> {
    let null = fs::metadata("/dev/null").and_then(|null| Ok((null.rdev(), fstat(&stdout)?)));
    let is_null = null.is_ok_and(|(device, stdout)| stdout.st_rdev == device);
    match is_null && fcntl_getfl(&stdout).is_ok_and(|flags| flags.contains(OFlags::RDWR)) {
        true => bail!("standard output is closed; give the name of a file, or redirect it"),
        false => Ok(()),
    }
}

impl Request {
    /// The complete options, with what had to be read from the base.
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
            let least = base.virtual_size;
            let asked = *size.get_or_insert(least);
            if asked.next_multiple_of(SECTOR) < least {
                bail!(
                    "SIZE (in a BUILD file: size) of {asked} bytes is smaller than the backing \
                     file {name:?}, of {least} bytes: the end of that would be lost"
                );
            }
        }
        let options = self.list.options(size.unwrap_or_default());
        let format = format.filter(|_| self.record_format);
        Ok(options.backing(name.as_bytes(), format))
    }

    /// The base and all beneath it, or the file that stands for it alone.
    fn open_base(&self, file: &Path, name: &OsStr) -> Result<Vec<ImageInfo>> {
        let (path, images) = match &self.probe {
            Some(path) => {
                let image = ImageInfo::read(path, self.format);
                (path.clone(), image.map(|image| vec![image]))
            }
            None => {
                let path = backing_path(file, name)?;
                let images = chain(&path, self.format);
                (path, images)
            }
        };
        let about = || format!("backing file {path:?}");
        let images = images.with_context(about)?;
        check_fit(&images).with_context(about)?;
        if self.standalone {
            check_stands_alone("backing file ", &images[0])?;
        }
        Ok(images)
    }
}
