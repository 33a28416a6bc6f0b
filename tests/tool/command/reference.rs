//! Images have the same bytes as those of the generator that this project replaces.

use qcow2_overlay::{Layout, Options, Version};

use crate::common::{sha256, Dir, Run};

struct Row {
    size: u64,
    backing: Option<&'static str>,
    length: usize,
    sha256: &'static str,
}

/// Returns the rows of reference-v2.tsv.
fn rows() -> Vec<Row> {
    let table = include_str!("reference-v2.tsv");
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('\t').collect();
        let [size, backing, length, sha256] = columns[..] else {
            panic!("not four columns: {row}");
        };
        Row {
            size: size.parse().expect("a size"),
            backing: Some(backing).filter(|name| !name.is_empty()),
            length: length.parse().expect("a length"),
            sha256,
        }
    })
    .collect()
}

#[test]
fn the_library_writes_the_reference_bytes() {
    let rows = rows();
    assert_eq!(rows.len(), 36);
    for row in rows {
        let mut options = Options::new(row.size).version(Version::V2);
        if let Some(name) = row.backing {
            options = options.backing(name, None);
        }
        let mut image = Vec::new();
        let layout = Layout::new(&options).expect("a layout");
        layout.write_to(&mut image).expect("written");
        assert_eq!(image.len(), row.length);
        assert_eq!(sha256(&image), row.sha256, "{} {:?}", row.size, row.backing);
    }
}

#[test]
fn the_tool_writes_the_reference_bytes() {
    let dir = Dir::new();
    for row in rows() {
        let mut command = dir.command(crate::common::tool());
        command.args(["create", "-q", "--force", "-o", "compat=0.10"]);
        if let Some(name) = row.backing {
            command.args(["-u", "--no-backing-format", "-b", name]);
        }
        Run::of(command.args(["disk.qcow2", &row.size.to_string()])).ok();
        let image = dir.read("disk.qcow2");
        assert_eq!(image.len(), row.length);
        assert_eq!(sha256(&image), row.sha256, "{} {:?}", row.size, row.backing);
    }
}
