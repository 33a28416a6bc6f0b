//! `qcow2-overlay clone`

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{value_parser, Arg, ArgAction, ArgMatches, Command};
use qcow2_overlay::{chain, Existing, Format, Layout, Options};

use super::{create, describe, print};

pub fn command() -> Command {
    let path = value_parser!(PathBuf);
    Command::new("clone")
        .about("Writes a fresh writable disk like an overlay, on the same base")
        .after_help(
            "The new disk has the absolute path of its base, so it can be moved. It stands on\n\
             the base of OVERLAY, or on OVERLAY itself if that holds data of its own.\n\
             The whole chain is checked to be there. A FILE that already is exactly the disk\n\
             asked for is left as it is.",
        )
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Replace FILE if it exists"),
        )
        .arg(
            Arg::new("overlay")
                .value_name("OVERLAY")
                .required(true)
                .value_parser(path.clone())
                .help("The qcow2 image to be like"),
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(path)
                .help("The disk to write"),
        )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let get = |name: &str| matches.get_one::<PathBuf>(name).expect("clap requires it");
    let (overlay, file) = (get("overlay"), get("file"));
    let (options, beneath) = plan(overlay)?;
    let layout = Layout::new(&options)?;
    let existing = create::existing(matches);
    let found = fs::metadata(file).ok();
    if let Some(found) = found {
        if beneath.iter().any(|image| image.is_file(&found)) {
            anyhow::bail!("{file:?} is in the chain of {overlay:?}; give another path");
        }
        if existing == Existing::Keep && has_content(file, &layout) {
            return print(&format!(
                "{file:?} is there already: {}\n",
                describe(&layout)
            ));
        }
    }
    create::write(file, &layout, existing)?;
    print(&format!("Wrote {file:?}: {}\n", describe(&layout)))
}

/// The options of the disk to make, and all that it must not be written over.
fn plan(overlay: &Path) -> Result<(Options, Vec<qcow2_overlay::ImageInfo>)> {
    let about = || format!("{overlay:?}");
    let images = chain(overlay, Some(Format::Qcow2)).with_context(about)?;
    let top = &images[0];
    let header = top
        .header
        .as_ref()
        .context("not a qcow2 image")
        .with_context(about)?;
    let mut options = Options::like(header);
    let base = match top.has_data().with_context(about)? {
        true => Some(top),
        false => images.get(1),
    };
    if let Some(base) = base {
        let path = fs::canonicalize(&base.path).with_context(|| format!("{:?}", base.path))?;
        options = options.backing(path.as_os_str().as_bytes(), Some(base.format));
    }
    Ok((options, images))
}

/// Whether `file` is byte for byte what `layout` would write.
fn has_content(file: &Path, layout: &Layout) -> bool {
    let Ok(file) = File::open(file) else {
        return false;
    };
    let is_long = |length| length == layout.file_length();
    file.metadata()
        .is_ok_and(|found| found.is_file() && is_long(found.len()))
        && layout.write_to(&mut Comparer(file)).is_ok()
}

/// Takes what is written to it for a claim about the file, and fails if it is wrong.
struct Comparer(File);

impl Write for Comparer {
    fn write(&mut self, expected: &[u8]) -> io::Result<usize> {
        let mut found = vec![0; expected.len()];
        self.0.read_exact(&mut found)?;
        match found == expected {
            true => Ok(expected.len()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
