//! The arguments NAME=PATH of disks and copies, and their names.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::Result;
use clap::{value_parser, Arg, ArgAction, ArgMatches};

use crate::cli::failure::usage;

/// Variables that Bazel sets for a test, a shell or this program, and what the names of others
/// begin with. rules/private/fixtures.bzl has the same lists; a test compares them.
pub const RESERVED: [&str; 8] = [
    "HOME", "LOGNAME", "PATH", "PWD", "SHLVL", "TMPDIR", "TZ", "USER",
];
pub const RESERVED_STARTS: [&str; 4] = ["BAZEL_", "QCOW2_OVERLAY", "RUNFILES_", "TEST_"];

/// A disk to write, or a copy to make.
pub struct Named {
    pub name: String,
    /// The overlay that the disk is to be like, or what to copy.
    pub path: PathBuf,
}

impl Named {
    /// Parses a value of `option`, which is to be written as in `form`: `NAME=PATH`.
    pub fn parse(option: &str, form: &str, text: &OsStr) -> Result<Self> {
        let bytes = text.as_bytes();
        let Some(end) = bytes.iter().position(|&byte| byte == b'=') else {
            return Err(usage(format!("--{option} {text:?}: write it as {form}")));
        };
        Ok(Named {
            name: String::from_utf8_lossy(&bytes[..end]).into_owned(),
            path: PathBuf::from(OsStr::from_bytes(&bytes[end + 1..])),
        })
    }
}

/// Returns the argument for the option `option`, of which there can be several.
pub fn named_argument(option: &'static str, form: &'static str, help: &'static str) -> Arg {
    Arg::new(option)
        .long(option)
        .value_name(form)
        .action(ArgAction::Append)
        .value_parser(value_parser!(OsString))
        .help(help)
}

/// Returns what was given for [`named_argument`].
pub fn named(matches: &ArgMatches, option: &str, form: &str) -> Result<Vec<Named>> {
    let texts = matches.get_many::<OsString>(option).into_iter().flatten();
    let parse = |text: &OsString| Named::parse(option, form, text);
    texts.map(parse).collect()
}

/// Returns whether a block node of QEMU can have this name (`util/id.c`, `id_wellformed`; at most 31
/// bytes). `others` are characters allowed besides letters and digits.
pub fn is_node_name(name: &str, others: &[u8]) -> bool {
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || others.contains(byte);
    let bytes = name.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(is_valid)
        && bytes.len() <= 31
}

/// Checks that each name is valid for an environment variable and for a block node of QEMU, and
/// that no two variables clash.
pub fn check_names(disks: &[Named], copies: &[Named]) -> Result<()> {
    let disks = disks.iter().map(|disk| ("disk", &disk.name[..]));
    let copies = copies.iter().map(|copy| ("copy", &copy.name[..]));
    let names: Vec<(&str, &str)> = disks.chain(copies).collect();
    for (index, (kind, name)) in names.iter().enumerate() {
        let refused = |problem: &str| Err(usage(format!("{kind} name {name:?}: {problem}")));
        if !is_node_name(name, b"_") {
            return refused("give a letter, then up to 30 letters, digits and _");
        }
        if RESERVED.contains(name) || RESERVED_STARTS.iter().any(|start| name.starts_with(start)) {
            return refused("this variable already has a meaning; choose another name");
        }
        if names[..index].iter().any(|(_, other)| other == name) {
            return refused("it is given twice");
        }
        let of_blockdev = name.strip_suffix("_BLOCKDEV");
        if let Some(disk) = of_blockdev.filter(|disk| names.contains(&("disk", disk))) {
            return refused(&format!(
                "disk {disk:?} has a variable of this name; choose another name"
            ));
        }
    }
    Ok(())
}
