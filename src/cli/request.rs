//! What the arguments of `create` ask for, before any file is looked at.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use anyhow::Result;
use clap::ArgMatches;
use qcow2_overlay::{parse_size, Format, Options, Version};

use super::usage;

/// The arguments of `create` in their own types.
pub struct Request {
    pub options: Options,
    pub size: Option<u64>,
    pub backing: Option<OsString>,
    pub format: Option<Format>,
    pub record_format: bool,
    pub probe: Option<PathBuf>,
}

impl Request {
    pub fn new(matches: &ArgMatches) -> Result<Self> {
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
