//! The arguments of `create`, checked before any file is opened.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::ArgMatches;
use qcow2_overlay::{Format, OptionList};

use crate::cli::arguments::{backing_of, either, option_list, size_of};
use crate::cli::failure::usage;

/// The parsed arguments of `create`.
pub struct Request {
    pub list: OptionList,
    pub size: Option<u64>,
    pub backing: Option<OsString>,
    pub format: Option<Format>,
    pub record_format: bool,
    pub probe: Option<PathBuf>,
    pub standalone: bool,
    /// Whether the backing file is not opened.
    pub unopened: bool,
}

impl Request {
    pub fn new(matches: &ArgMatches) -> Result<Self> {
        let mut list = option_list(matches)?;
        let size = either(size_of(matches)?, list.size, "SIZE and -o size")?;
        let (backing, format) = backing_of(matches, "-b", &mut list)?;
        let request = Request {
            size,
            backing,
            format,
            record_format: !matches.get_flag("no-backing-format"),
            probe: matches.get_one::<PathBuf>("probe").cloned(),
            standalone: matches.get_flag("standalone"),
            unopened: matches.get_flag("unopened"),
            list,
        };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<()> {
        if self.backing.is_some() {
            let must_be_known = "-u leaves the backing file unopened: give";
            if self.unopened && self.size.is_none() {
                return Err(usage(format!("{must_be_known} SIZE")));
            }
            if self.unopened && self.record_format && self.format.is_none() {
                return Err(usage(format!(
                    "{must_be_known} its format, -F raw or qcow2"
                )));
            }
            return Ok(());
        }
        let is_about_base = self.format.is_some() || self.probe.is_some() || self.standalone;
        if is_about_base || self.unopened || !self.record_format {
            return Err(usage(
                "-F, -u, --probe, --standalone and --no-backing-format need a backing file: \
                 -b NAME",
            ));
        }
        if self.size.is_none() {
            let missing = "give SIZE, or a backing file to take it from: -b NAME";
            return Err(usage(missing));
        }
        Ok(())
    }
}
