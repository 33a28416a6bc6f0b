//! `qcow2-overlay create`

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use clap::{value_parser, Arg, ArgAction, ArgMatches, Command};
use qcow2_overlay::{
    chain, create_file, parse_size, protocol, resolve, Existing, Format, ImageInfo, Layout,
    Options, Version,
};

use super::{describe, print, usage};

const OPTIONS_HELP: &str = "\
Options for -o, separated by commas (a comma in a value is written twice):
  compat=1.1|0.10        version of the format, also v3 or v2 [default: 1.1]
  cluster_size=SIZE      power of two from 512 to 2M [default: 64K]
  refcount_bits=N        1, 2, 4, 8, 16, 32 or 64 [default: 16]
  lazy_refcounts=on|off  postpone refcount updates; needs compat=1.1 [default: off]
  extended_l2=on|off     subclusters; needs cluster_size of at least 16K [default: off]
  backing_file=NAME      the same as -b
  backing_fmt=FORMAT     the same as -F
  size=SIZE              the same as SIZE

SIZE is in bytes or has a suffix K, M, G, T, P or E, and may have a fraction, as 1.5G.
It is rounded up to 512 bytes; without it the disk is as large as the backing file's.";

pub fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("create")
        .about("Writes a new image: an overlay of a backing file, or a blank disk")
        .after_help(OPTIONS_HELP)
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
            flag("no-backing-format")
                .conflicts_with("backing-format")
                .help("Do not record the format of the backing file"),
        )
        .arg(
            Arg::new("probe")
                .long("probe")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Read size and format of the backing file from PATH instead"),
        )
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
    let force = matches.get_flag("force");
    if force && !to_stdout {
        request.check_base_is_not(file)?;
    }
    let options = request.options(file)?;
    let layout = Layout::new(&options)?;
    if to_stdout {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let written = layout.write_to(&mut stdout);
        return written
            .and_then(|()| io::Write::flush(&mut stdout))
            .context("standard output");
    }
    let existing = if force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    write(file, &layout, existing)?;
    if !matches.get_flag("quiet") {
        print(&format!("Wrote {file:?}: {}\n", describe(&layout)))?;
    }
    Ok(())
}

/// [`create_file`] with messages for a command line.
pub fn write(file: &Path, layout: &Layout, existing: Existing) -> Result<()> {
    create_file(file, layout, existing).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::anyhow!("{file:?} exists; --force replaces it"),
        _ => anyhow::Error::new(error).context(format!("cannot write {file:?}")),
    })
}

/// What the command line asks for; nothing was looked up yet.
struct Request {
    options: Options,
    size: Option<u64>,
    backing: Option<OsString>,
    format: Option<Format>,
    record_format: bool,
    probe: Option<PathBuf>,
}

impl Request {
    fn new(matches: &ArgMatches) -> Result<Self> {
        let mut request = Request {
            options: Options::new(0),
            size: None,
            backing: matches.get_one::<OsString>("backing").cloned(),
            format: None,
            record_format: !matches.get_flag("no-backing-format"),
            probe: matches.get_one::<PathBuf>("probe").cloned(),
        };
        if let Some(text) = matches.get_one::<String>("size") {
            request.size = Some(parse_size(text).map_err(|e| usage(format!("SIZE: {e}")))?);
        }
        if let Some(name) = matches.get_one::<String>("backing-format") {
            request.format = Some(name.parse().map_err(usage)?);
        }
        for list in matches
            .get_many::<OsString>("options")
            .into_iter()
            .flatten()
        {
            for option in split_options(list.as_bytes()) {
                request.set(&option)?;
            }
        }
        if request.backing.is_none() {
            if request.format.is_some() || request.probe.is_some() || !request.record_format {
                let needs = "-F, --probe and --no-backing-format need a backing file: -b NAME";
                return Err(usage(needs));
            }
            if request.size.is_none() {
                return Err(usage(
                    "give SIZE, or a backing file to take it from: -b NAME",
                ));
            }
        }
        Ok(request)
    }

    /// Takes over one `NAME=VALUE` of `-o`.
    fn set(&mut self, option: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(option);
        let Some((name, value)) = text.split_once('=') else {
            return Err(usage(format!("-o {text:?}: write it as NAME=VALUE")));
        };
        let wrong = |problem: String| usage(format!("-o {name}: {problem}"));
        let number = || {
            value
                .parse()
                .map_err(|_| wrong(format!("{value:?} is not a number")))
        };
        let size = || parse_size(value).map_err(|e| wrong(e.to_string()));
        let switch = || match value {
            "on" | "yes" | "true" | "y" => Ok(true),
            "off" | "no" | "false" | "n" => Ok(false),
            _ => Err(wrong(format!("{value:?} is neither on nor off"))),
        };
        let twice = |is_set: bool| match is_set {
            true => Err(wrong("it is given twice".into())),
            false => Ok(()),
        };
        let options = self.options.clone();
        self.options = match name {
            "compat" => options.version(match value {
                "0.10" | "v2" => Version::V2,
                "1.1" | "v3" => Version::V3,
                _ => {
                    return Err(wrong(format!(
                        "{value:?} is neither 1.1 (v3) nor 0.10 (v2)"
                    )))
                }
            }),
            "cluster_size" => options.cluster_size(size()?),
            "refcount_bits" => options.refcount_bits(number()?),
            "lazy_refcounts" => options.lazy_refcounts(switch()?),
            "extended_l2" => options.extended_l2(switch()?),
            "size" => {
                twice(self.size.is_some())?;
                self.size = Some(size()?);
                options
            }
            "backing_file" => {
                twice(self.backing.is_some())?;
                let value = &option[name.len() + 1..];
                self.backing = Some(OsString::from_vec(value.to_vec()));
                options
            }
            "backing_fmt" => {
                twice(self.format.is_some())?;
                self.format = Some(value.parse().map_err(wrong)?);
                options
            }
            _ => {
                return Err(usage(format!(
                    "-o {name:?} is no option; there are compat, cluster_size, refcount_bits, \
                     lazy_refcounts, extended_l2, backing_file, backing_fmt and size"
                )))
            }
        };
        Ok(())
    }

    /// The complete options, with what had to be read from the base.
    fn options(&self, file: &Path) -> Result<Options> {
        let Some(name) = &self.backing else {
            return Ok(self
                .options
                .clone()
                .virtual_size(self.size.unwrap_or_default()));
        };
        let mut format = self.format;
        let mut size = self.size;
        let is_format_known = format.is_some() || !self.record_format;
        if size.is_none() || !is_format_known {
            let base = self.open_base(file, name)?;
            format = Some(base.format);
            let least = base.virtual_size;
            let asked = *size.get_or_insert(least);
            if asked < least {
                bail!(
                    "SIZE of {asked} bytes is smaller than the backing file {name:?}, \
                     of {least} bytes: the end of that would be lost"
                );
            }
        }
        let options = self.options.clone().virtual_size(size.unwrap_or_default());
        let format = format.filter(|_| self.record_format);
        Ok(options.backing(name.as_bytes(), format))
    }

    fn open_base(&self, file: &Path, name: &OsStr) -> Result<ImageInfo> {
        if protocol(name.as_bytes()).is_some() && self.probe.is_none() {
            bail!(qcow2_overlay::Error::BackingNameIsProtocol(
                name.as_bytes().to_vec()
            ));
        }
        let path = self.base_path(file, name);
        ImageInfo::read(&path, self.format).map_err(|error| {
            if error.kind() != io::ErrorKind::NotFound || self.probe.is_some() {
                return anyhow::Error::new(error).context(format!("backing file {path:?}"));
            }
            let hint = match fs::canonicalize(name) {
                Ok(here) => format!(
                    "; the one in the current directory would be -b {:?}",
                    here.as_os_str()
                ),
                Err(_) => String::new(),
            };
            anyhow::anyhow!(
                "backing file {path:?} does not exist (-b is relative to the directory \
                 of the overlay){hint}"
            )
        })
    }

    fn base_path(&self, file: &Path, name: &OsStr) -> PathBuf {
        match &self.probe {
            Some(path) => path.clone(),
            None => resolve(file, name.as_bytes()),
        }
    }

    /// Refuses to replace the base, or what the base stands on, by the overlay.
    fn check_base_is_not(&self, file: &Path) -> Result<()> {
        let (Some(name), Ok(existing)) = (&self.backing, fs::metadata(file)) else {
            return Ok(());
        };
        for path in [self.base_path(file, name), resolve(file, name.as_bytes())] {
            let single = || ImageInfo::read(&path, Some(Format::Raw)).map(|image| vec![image]);
            let images = chain(&path, self.format).or_else(|_| single());
            if images.is_ok_and(|images| images.iter().any(|i| i.is_file(&existing))) {
                bail!("{file:?} is its own backing file; --force would destroy that");
            }
        }
        Ok(())
    }
}

/// Splits at commas; a doubled comma stands for one in a value, as in QEMU.
fn split_options(list: &[u8]) -> Vec<Vec<u8>> {
    let mut options = vec![Vec::new()];
    let mut bytes = list.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if byte == b',' && bytes.next_if_eq(&&b',').is_none() {
            options.push(Vec::new());
        } else if let Some(option) = options.last_mut() {
            option.push(byte);
        }
    }
    options
}
