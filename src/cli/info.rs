//! `qcow2-overlay info`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{value_parser, Arg, ArgAction, ArgMatches, Command};
use qcow2_overlay::{chain, human_size, Header, ImageInfo, Version, SECTOR};
use serde_json::{json, Map, Value};

use super::print;

pub fn command() -> Command {
    Command::new("info")
        .about("Describes an image as qemu-img info does")
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
    let images = images.with_context(|| format!("{file:?}"))?;
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

fn to_json(image: &ImageInfo) -> Value {
    let path = image.path.to_string_lossy();
    let file_size = image.file_length.next_multiple_of(SECTOR);
    let mut value = json!({
        "filename": path,
        "format": image.format.name(),
        "virtual-size": image.virtual_size,
        "actual-size": image.disk_usage,
        "dirty-flag": false,
        "children": [{
            "name": "file",
            "info": {
                "children": [],
                "filename": path,
                "format": "file",
                "virtual-size": file_size,
                "actual-size": image.disk_usage,
                "dirty-flag": false,
                "format-specific": {"type": "file", "data": {}},
            },
        }],
    });
    if let Some(header) = &image.header {
        value["cluster-size"] = header.cluster_size().into();
        value["dirty-flag"] = has(header, Header::DIRTY).into();
        let data: Map<String, Value> = details(header)
            .into_iter()
            .map(|(key, value)| (key.replace(' ', "-"), value))
            .collect();
        value["format-specific"] = json!({"type": "qcow2", "data": data});
        if let Some(name) = &header.backing_name {
            value["backing-filename"] = lossy(name).into();
            value["full-backing-filename"] = full_backing_name(image).into();
        }
        if let Some(format) = header.backing_format() {
            value["backing-filename-format"] = lossy(format).into();
        }
    }
    value
}

fn to_text(image: &ImageInfo) -> String {
    let bytes = |size: u64| format!("{} ({size} bytes)", human_size(size));
    let path = image.path.display();
    let disk_size = human_size(image.disk_usage);
    let mut lines = vec![
        format!("image: {path}"),
        format!("file format: {}", image.format),
        format!("virtual size: {}", bytes(image.virtual_size)),
        format!("disk size: {disk_size}"),
    ];
    if let Some(header) = &image.header {
        lines.push(format!("cluster_size: {}", header.cluster_size()));
        if let Some(name) = &header.backing_name {
            let (name, full) = (lossy(name), full_backing_name(image));
            lines.push(match name == full {
                true => format!("backing file: {name}"),
                false => format!("backing file: {name} (actual path: {full})"),
            });
        }
        if let Some(format) = header.backing_format() {
            lines.push(format!("backing file format: {}", lossy(format)));
        }
        lines.push("Format specific information:".to_owned());
        for (key, value) in details(header) {
            let value = value.as_str().map_or(value.to_string(), str::to_owned);
            lines.push(format!("    {key}: {value}"));
        }
    }
    lines.extend([
        "Child node '/file':".to_owned(),
        format!("    filename: {path}"),
        "    protocol type: file".to_owned(),
        format!(
            "    file length: {}",
            bytes(image.file_length.next_multiple_of(SECTOR))
        ),
        format!("    disk size: {disk_size}"),
    ]);
    lines.join("\n") + "\n"
}

/// What QEMU calls the format specific information of a qcow2 image, in its order.
fn details(header: &Header) -> Vec<(&'static str, Value)> {
    let compression = match header.compression {
        0 => "zlib".into(),
        1 => "zstd".into(),
        other => json!(other),
    };
    let compat = match header.version {
        Version::V2 => "0.10",
        Version::V3 => "1.1",
    };
    let mut details = vec![("compat", compat.into()), ("compression type", compression)];
    if header.version == Version::V3 {
        details.push(("lazy refcounts", header.has_lazy_refcounts().into()));
    }
    details.push(("refcount bits", header.refcount_bits().into()));
    if header.version == Version::V3 {
        details.push(("corrupt", has(header, Header::CORRUPT).into()));
        details.push(("extended l2", header.has_extended_l2().into()));
    }
    details
}

fn has(header: &Header, feature: u64) -> bool {
    header.incompatible_features & feature != 0
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The path of the backing file, or its name where that is no file's.
fn full_backing_name(image: &ImageInfo) -> String {
    let name = image
        .header
        .as_ref()
        .and_then(|h| h.backing_name.as_deref());
    match &image.backing_path {
        Some(path) => path.to_string_lossy().into_owned(),
        None => lossy(name.unwrap_or_default()),
    }
}
