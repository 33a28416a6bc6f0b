//! `qcow2-overlay convert`

use std::io::{self, Cursor, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{bail, Context, Result};
use clap::{ArgMatches, Command};
use qcow2_overlay::{chain, Conversion, Error, Format, ImageInfo, OptionList, SECTOR};

use crate::cli::advice::{About, Role};
use crate::cli::arguments::OPTIONS_HELP;
use crate::cli::arguments::{self, flag, format, format_of, option_list, path_of};
use crate::cli::backing::{check_outside, check_stands_alone, Backing};
use crate::cli::failure::usage;
use crate::cli::messages::{cannot_write, describe_converted, existing, say_written};
use crate::cli::process::signals::clean_up_when_ended;
use crate::cli::progress::Progress;

const HELP: &str = "
The same content and options give the same bytes, whatever the format and layout of
SOURCE. Zeros are left out. If SOURCE is -, a raw disk is read from standard input:

  zstd -dc disk.raw.zst | qcow2-overlay convert - disk.qcow2

With -B the result is an overlay that holds only what differs from NAME, which is relative
to the directory of FILE. -o size=SIZE makes the disk larger than that of SOURCE.

With -c a new version of this program may give other bytes.

A disk that clone or exec wrote is refused if the length or the modification time of one of
its backing files has changed. --allow-changed-base reads it anyway: use it if the content of
that file is unchanged, for example after a rebuild.";

pub fn command() -> Command {
    Command::new("convert")
        .about("Writes the content of an image and its backing chain to one file")
        .after_help([OPTIONS_HELP, HELP].concat())
        .arg(
            format(
                "source-format",
                "Format of SOURCE [default: detected from its content]",
            )
            .short('f'),
        )
        .arg(
            format("target-format", "Format of FILE")
                .short('O')
                .default_value("qcow2"),
        )
        .arg(arguments::compress())
        .args(arguments::backing_of_conversion())
        .arg(arguments::probe())
        .arg(arguments::options())
        .arg(
            flag(
                "standalone",
                "Fail if SOURCE has a backing file or an external data file",
            )
            .long("standalone"),
        )
        .arg(
            flag(
                "allow-changed-base",
                "Read SOURCE even if the recorded length or time of a backing file differs",
            )
            .long("allow-changed-base"),
        )
        .arg(flag("progress", "Show progress").short('p'))
        .arg(arguments::force())
        .arg(arguments::quiet())
        .arg(arguments::path(
            "source",
            "SOURCE",
            "The image to read; - is a raw disk from standard input",
        ))
        .arg(arguments::path("file", "FILE", "The image to write"))
}

/// The parsed arguments.
struct Arguments<'a> {
    source: &'a Path,
    source_format: Option<Format>,
    file: &'a Path,
    list: OptionList,
    target_format: Format,
    compress: bool,
    backing: Option<Backing>,
    standalone: bool,
    allow_changed_base: bool,
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let arguments = Arguments::new(matches)?;
    let file = arguments.file;
    let is_stream = arguments.source.as_os_str() == "-";
    let images = if is_stream {
        Vec::new()
    } else {
        arguments.open_source()?
    };
    let base = match &arguments.backing {
        Some(backing) => backing.open(file, false)?,
        None => Vec::new(),
    };
    check_outside(file, arguments.source, &images)?;
    let total = images.first().map(|image| image.virtual_size);
    let progress = matches
        .get_flag("progress")
        .then(|| Progress::new(arguments.list.size.or(total)));
    let show = |done| {
        if let Some(progress) = &progress {
            progress.show(done);
        }
    };
    let conversion = arguments
        .conversion(&base)
        .existing(existing(matches))
        .progress(&show);
    clean_up_when_ended();
    let converted = if is_stream {
        conversion.write_stream(&mut arguments.stream()?, file)
    } else {
        conversion.write_file(&images, file)
    };
    let converted = converted.map_err(|error| match error {
        Error::Exists => cannot_write(file, error),
        error => {
            let about = format!("cannot convert {:?} to {file:?}", arguments.source);
            anyhow::Error::new(error).context(About::new(Role::Source, about))
        }
    })?;
    if let Some(progress) = &progress {
        progress.finish(converted.virtual_size);
    }
    say_written(matches, file, &describe_converted(&converted));
    Ok(())
}

impl<'a> Arguments<'a> {
    fn new(matches: &'a ArgMatches) -> Result<Self> {
        let mut list = option_list(matches)?;
        let arguments = Arguments {
            source: path_of(matches, "source"),
            source_format: format_of(matches, "source-format")?,
            file: path_of(matches, "file"),
            target_format: format_of(matches, "target-format")?.unwrap_or(Format::Qcow2),
            compress: matches.get_flag("compress"),
            backing: Backing::of(matches, "-B", &mut list)?,
            standalone: matches.get_flag("standalone"),
            allow_changed_base: matches.get_flag("allow-changed-base"),
            list,
        };
        arguments.check()?;
        Ok(arguments)
    }

    fn check(&self) -> Result<()> {
        if self.target_format == Format::Raw {
            let mut other = self.list.clone();
            other.size = None;
            if self.compress {
                return Err(usage(
                    "a raw image cannot be compressed: leave out -c or -O raw",
                ));
            }
            if self.backing.is_some() || other != OptionList::default() {
                return Err(usage(
                    "a raw image has neither a backing file nor options other than size: leave \
                     out -O raw",
                ));
            }
        }
        if self.file.as_os_str() == "-" {
            return Err(usage(
                "FILE cannot be standard output, because it is not written in order: give a name",
            ));
        }
        if self.source.as_os_str() == "-" && self.source_format == Some(Format::Qcow2) {
            return Err(usage(
                "a qcow2 image cannot be read from standard input, because it is not read in \
                 order: give the name of a file",
            ));
        }
        Ok(())
    }

    fn open_source(&self) -> Result<Vec<ImageInfo>> {
        let about = || About::new(Role::Source, format!("{:?}", self.source));
        if self.standalone {
            let image = ImageInfo::read(self.source, self.source_format);
            let image = image.with_context(about)?;
            check_stands_alone("", &image)?;
            return Ok(vec![image]);
        }
        let images = chain(self.source, self.source_format);
        images.with_context(about)
    }

    fn conversion<'b>(&self, base: &'b [ImageInfo]) -> Conversion<'b> {
        let conversion = if self.target_format == Format::Raw {
            Conversion::to_raw(self.list.size)
        } else {
            let mut options = self.list.options();
            if let (Some(backing), Some(base)) = (&self.backing, base.first()) {
                options = options.backing(backing.name.as_bytes(), Some(base.format));
            }
            Conversion::to_qcow2(options)
        };
        conversion
            .base(base)
            .compressed(self.compress)
            .allow_changed_base(self.allow_changed_base)
    }

    /// Returns standard input. Without -f raw, it must not begin like an image of another
    /// format.
    fn stream(&self) -> Result<impl Read + Send> {
        let mut stdin = io::stdin();
        if stdin.is_terminal() {
            return Err(usage(
                "SOURCE - reads a raw disk from standard input, which is a terminal: redirect it",
            ));
        }
        let mut start = Vec::new();
        stdin
            .by_ref()
            .take(SECTOR)
            .read_to_end(&mut start)
            .context("standard input")?;
        if start.is_empty() {
            // Most likely the program that should have written to it has failed.
            bail!("standard input is empty: a disk has at least one byte");
        }
        let about = || About::new(Role::Source, "standard input".to_owned());
        let found = || Format::detect(&start).with_context(about);
        if self.source_format.is_none() && found()? == Format::Qcow2 {
            return Err(usage(
                "standard input is a qcow2 image, which is not read in order: give the name of \
                 a file, or -f raw if these bytes themselves are the disk",
            ));
        }
        Ok(Cursor::new(start).chain(stdin))
    }
}
