//! Arguments that several commands share.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::{value_parser, Arg, ArgAction, ArgMatches};
use qcow2_overlay::{parse_size, Format, OptionList};

use crate::cli::failure::usage;

/// The part of --help about the options of an image.
pub const OPTIONS_HELP: &str = "\
Options for -o, separated by commas (double a comma in a value):
  compat=1.1|0.10        version of the format, also v3 or v2 [default: 1.1]
  cluster_size=SIZE      power of two from 512 to 2M [default: 64K]
  refcount_bits=N        1, 2, 4, 8, 16, 32 or 64 [default: 16]
  lazy_refcounts=on|off  postpone refcount updates; needs compat=1.1 [default: off]
  extended_l2=on|off     subclusters; needs cluster_size of at least 16K [default: off]
  compression_type=TYPE  zlib, or zstd, which needs compat=1.1 [default: zlib]
  backing_file=NAME      the same as -b, or -B of convert
  backing_fmt=FORMAT     the same as -F
  size=SIZE              size of the disk
";

/// The part of --help about SIZE.
pub const SIZE_HELP: &str = "
SIZE is in bytes, or a number with a suffix K, M, G, T, P or E (powers of 1024), such as
20G or 1.5G. It is rounded up to a multiple of 512 [default: the size of the backing file].
";

pub fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).action(ArgAction::SetTrue).help(help)
}

pub fn force() -> Arg {
    flag("force", "Replace FILE if it exists").long("force")
}

pub fn quiet() -> Arg {
    flag("quiet", "Do not print what was written").short('q')
}

pub fn format(name: &'static str, help: &'static str) -> Arg {
    let format = Arg::new(name).value_name("FORMAT");
    format.value_parser(["raw", "qcow2"]).help(help)
}

pub fn compress() -> Arg {
    let help = "Compress the clusters that get smaller by it";
    flag("compress", help).short('c')
}

/// Returns the arguments for the backing file and its format: `-b` and `-F`, or `-B` as QEMU 11.1
/// spells `-F`.
pub fn backing() -> [Arg; 3] {
    let help = "Format of the backing file, also -B [default: detected from its content]";
    let name = "Backing file, relative to the directory of FILE; stored unchanged";
    [
        backing_name("backing", name).short('b'),
        format("backing-format", help).short('F'),
        format("backing-format-of-qemu-11", help)
            .short('B')
            .hide(true),
    ]
}

/// Returns the same arguments of `convert`: `-B` and `-F`, or `-b` as QEMU 11.1 spells `-B`.
pub fn backing_of_conversion() -> [Arg; 3] {
    let help = "Format of the backing file [default: detected from its content]";
    let name = "Backing file, also -b, relative to the directory of FILE; stored unchanged";
    [
        backing_name("backing", name).short('B'),
        backing_name("backing-of-qemu-11", name)
            .short('b')
            .hide(true),
        format("backing-format", help).short('F'),
    ]
}

fn backing_name(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .value_name("NAME")
        .allow_hyphen_values(true)
        .value_parser(value_parser!(OsString))
        .help(help)
}

pub fn probe() -> Arg {
    Arg::new("probe")
        .long("probe")
        .value_name("PATH")
        .value_parser(value_parser!(PathBuf))
        .help("Open PATH in place of NAME, which need not exist yet")
}

pub fn standalone() -> Arg {
    let help = "Fail if the backing file has a backing file or an external data file";
    flag("standalone", help).long("standalone")
}

pub fn options() -> Arg {
    Arg::new("options")
        .short('o')
        .value_name("OPTION=VALUE,...")
        .action(ArgAction::Append)
        .value_parser(value_parser!(OsString))
        .help("Options of the image, see below")
}

pub fn path(name: &'static str, value_name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .value_name(value_name)
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

pub fn size() -> Arg {
    Arg::new("size")
        .value_name("SIZE")
        .allow_hyphen_values(true)
        .help("Size of the disk, see below")
}

/// Returns the argument for the command to run, which follows `--`.
pub fn command() -> Arg {
    Arg::new("command")
        .value_name("COMMAND")
        .required(true)
        .num_args(1..)
        .last(true)
        .value_parser(value_parser!(OsString))
        .help("The command to run, and its arguments")
}

/// Returns what was given for [`command`].
pub fn command_of(matches: &ArgMatches) -> Command {
    let words = matches.get_many::<OsString>("command");
    let mut words = words.into_iter().flatten();
    let mut command = Command::new(words.next().expect("clap requires COMMAND"));
    command.args(words);
    command
}

/// Returns what was given for [`size`], in bytes.
pub fn size_of(matches: &ArgMatches) -> Result<Option<u64>> {
    let text = matches.get_one::<String>("size");
    let size = text.map(|text| parse_size(text).map_err(|e| usage(format!("SIZE: {e}"))));
    size.transpose()
}

/// Returns what was given for [`path`].
pub fn path_of<'a>(matches: &'a ArgMatches, name: &str) -> &'a Path {
    let path = matches.get_one::<PathBuf>(name);
    path.expect("clap requires it")
}

/// Returns what was given for [`format`].
pub fn format_of(matches: &ArgMatches, name: &str) -> Result<Option<Format>> {
    let text = matches.get_one::<String>(name);
    text.map(|text| text.parse().map_err(usage)).transpose()
}

/// Returns what was given for [`options`], which can be repeated.
pub fn option_list(matches: &ArgMatches) -> Result<OptionList> {
    let mut list = OptionList::default();
    let lists = matches.get_many::<OsString>("options");
    for options in lists.into_iter().flatten() {
        list.add(options.as_bytes()).map_err(usage)?;
    }
    Ok(list)
}

/// Returns the name and the format that were given for [`backing`] or, if the option for the name
/// is `-B`, for [`backing_of_conversion`]. Both can be given in `list` instead, from which they
/// are taken.
pub fn backing_of(
    matches: &ArgMatches,
    option: &str,
    list: &mut OptionList,
) -> Result<(Option<OsString>, Option<Format>)> {
    let mut name = matches.get_one::<OsString>("backing").cloned();
    let mut format = format_of(matches, "backing-format")?;
    if option == "-B" {
        let other = matches.get_one("backing-of-qemu-11").cloned();
        if name.is_some() && other.is_some() {
            return Err(usage(
                "-B and -b both name the backing file: give one of them, and its format with -F",
            ));
        }
        name = name.or(other);
    } else {
        let other = format_of(matches, "backing-format-of-qemu-11")?;
        format = either(format, other, ["-F", "-B"])?;
    }
    let in_list = list.backing_file.take().map(OsString::from_vec);
    let name = either(name, in_list, [option, "-o backing_file"])?;
    let format = either(format, list.backing_format.take(), ["-F", "-o backing_fmt"])?;
    Ok((name, format))
}

/// Returns the value of something that can be given in two ways, called `names`. Fails if it is
/// given in both.
pub fn either<T>(one: Option<T>, other: Option<T>, names: [&str; 2]) -> Result<Option<T>> {
    if one.is_some() && other.is_some() {
        let [name, other] = names;
        return Err(usage(format!("give {name} or {other}, not both")));
    }
    Ok(one.or(other))
}
