//! `qcow2-overlay info`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{value_parser, Arg, ArgAction, ArgMatches, Command};
use qcow2_overlay::{chain, BackingState, ImageInfo};
use serde_json::Value;

use crate::cli::advice::{About, Role};
use crate::cli::info_output::description::ImageDescription;
use crate::cli::info_output::json::to_json;
use crate::cli::info_output::text::to_text;
use crate::cli::messages::print;

pub fn command() -> Command {
    Command::new("info")
        .about("Describes an image as qemu-img info does")
        .after_help(
            "Dates of snapshots are in UTC. Ciphers and key slots of LUKS are not shown.\n\
             Only FILE is opened, or with --backing-chain the whole backing chain. For a disk that\n\
             clone or exec wrote, --backing-chain also reports whether a backing file has changed.",
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
                .help("Describe the whole backing chain"),
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
    let images = if whole_chain {
        chain(file, None)
    } else {
        ImageInfo::read(file, None).map(|image| vec![image])
    };
    let images = images.with_context(|| About::new(Role::Subject, format!("{file:?}")))?;
    // One image alone is compared with nothing.
    let records: Vec<BackingState> = (0..images.len())
        .map(|start| BackingState::of(&images[start..]))
        .collect();
    let images: Vec<ImageDescription> = images
        .into_iter()
        .zip(records)
        .map(|(image, record)| ImageDescription::new(image, record))
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
