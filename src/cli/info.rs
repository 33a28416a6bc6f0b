//! `qcow2-overlay info`

use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{value_parser, Arg, ArgAction, ArgMatches, Command};
use qcow2_overlay::{chain, Bitmap, Extension, Header, ImageInfo, Record, Snapshot};
use serde_json::Value;

use super::info_json::to_json;
use super::info_text::to_text;
use super::print;

/// An image and what its header refers to.
pub struct Described {
    pub image: ImageInfo,
    pub snapshots: Vec<Snapshot>,
    pub bitmaps: Vec<Bitmap>,
    /// What the record in the image says of its bases, or why that cannot be known.
    pub record: Result<Record, String>,
}

impl Described {
    fn new(image: ImageInfo) -> Result<Self> {
        let about = || format!("{:?}", image.path);
        let snapshots = image.snapshots().with_context(about)?;
        let bitmaps = image.bitmaps().with_context(about)?;
        let has_record = |header: &Header| header.extension(Extension::BASE_STAMPS).is_some();
        let record = match image.header.as_ref().is_some_and(has_record) {
            true => chain(&image.path, Some(image.format)).map(|images| Record::of(&images)),
            false => Ok(Record::Missing),
        };
        Ok(Described {
            image,
            snapshots,
            bitmaps,
            record: record.map_err(|error| error.to_string()),
        })
    }
}

pub fn command() -> Command {
    Command::new("info")
        .about("Describes an image as qemu-img info does")
        .after_help(
            "Says what is in an image, other than its data. Dates of snapshots are in UTC; of\n\
             LUKS encryption no more is said than that it is there. Of a disk that clone\n\
             or exec wrote it also says when a file beneath has changed since.",
        )
        .arg(
            Arg::new("output")
                .long("output")
                .value_name("FORMAT")
                .value_parser(["human", "json"])
                .default_value("human")
                .help("human, or json with the keys and values of qemu-img"),
        )
        .arg(
            Arg::new("backing-chain")
                .long("backing-chain")
                .action(ArgAction::SetTrue)
                .help("Describe the backing file too, and its backing file, and so on"),
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The image to describe"),
        )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let file = matches
        .get_one::<PathBuf>("file")
        .expect("clap requires FILE");
    let whole_chain = matches.get_flag("backing-chain");
    let images = match whole_chain {
        true => chain(file, None),
        false => ImageInfo::read(file, None).map(|image| vec![image]),
    };
    let images = images
        .map_err(neutral)
        .with_context(|| format!("{file:?}"))?;
    let images: Vec<Described> = images
        .into_iter()
        .map(Described::new)
        .collect::<Result<_>>()?;
    let text = match matches.get_one::<String>("output").map(String::as_str) {
        Some("json") => {
            let mut values: Vec<Value> = images.iter().map(to_json).collect();
            let value = match whole_chain {
                true => Value::Array(values),
                false => values.remove(0),
            };
            format!("{value:#}\n")
        }
        _ => images.iter().map(to_text).collect::<Vec<_>>().join("\n"),
    };
    print(&text)
}

/// The library's advice on images of other formats is for their use as bases.
fn neutral(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(qcow2_overlay::Error::ForeignFormat(format)) => {
            io::Error::other(format!("it is a {format} image, neither raw nor qcow2"))
        }
        _ => error,
    }
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The path of the backing file, or its name where that is no file's.
pub fn full_backing_name(image: &ImageInfo) -> String {
    let name = image
        .header
        .as_ref()
        .and_then(|h| h.backing_name.as_deref());
    match &image.backing_path {
        Some(path) => path.to_string_lossy().into_owned(),
        None => lossy(name.unwrap_or_default()),
    }
}
