//! Images with random changes: the tool must refuse and describe them as the real QEMU does.
//! Every difference must be of a class in [`KNOWN`]. To run more rounds:
//!
//! ```sh
//! QCOW2_ROUNDS=10000 QCOW2_SEED=1 cargo test --release --test qemu mutations -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use fastrand::Rng;
use qcow2_overlay::{Bitmap, Extension, Header};
use serde_json::Value;

use crate::common::{Dir, Run};
use crate::random::number;
use crate::{qemu_io, with_base, LUKS};

/// The classes of differences: how each begins, and its reason.
const KNOWN: &[(&str, &str)] = &[
    (
        "refused: truncated qcow2 image",
        "QEMU reads zeros beyond the end of the file",
    ),
    (
        "refused: corrupt qcow2 image: version",
        "QEMU's probe takes it for raw",
    ),
    (
        "refused: corrupt qcow2 image: backing_file_offset",
        "the name is inside the header, or ends beyond the first cluster",
    ),
    (
        "refused: corrupt qcow2 image: autoclear_features",
        "a virtual machine refuses it: data_file_raw without a data file",
    ),
    (
        "refused: corrupt qcow2 image: snapshots_offset",
        "QEMU takes the header for the snapshot table",
    ),
    ("accepted: a LUKS header", "the tool reads only its start"),
    (
        "not cloned: its size of N bytes cuts off",
        "QEMU opens overlays that are smaller than their base",
    ),
    ("not cloned: its base ", RECORD),
    (
        "not cloned: corrupt qcow2 image: version of the record",
        RECORD,
    ),
    ("cloned, but QEMU: Parameter 'encrypt.key-secret'", BY_HAND),
    ("cloned, but QEMU: 'data-file' is required", BY_HAND),
    ("cloned, but QEMU: Could not open '", BY_HAND),
    ("cloned, but QEMU: The 'file' block driver", BY_HAND),
];
const RECORD: &str = "QEMU does not read what a clone records of its base";
const BY_HAND: &str = "a key, and a data file, can be given to QEMU by hand";

/// An image, and the regions of it in which a change has an effect.
struct Original {
    bytes: Vec<u8>,
    regions: Vec<(usize, usize)>,
    is_encrypted: bool,
}

impl Original {
    fn read(dir: &Dir, name: &str) -> Self {
        let bytes = dir.read(name);
        let header = Header::parse(&bytes).expect("a header");
        let word = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let extensions = header.encode().len();
        let mut starts = vec![(0, 112), (0, 112), (72, extensions.max(160))];
        starts.push((header.l1_offset as usize, 16));
        starts.push((header.refcount_table_offset as usize, 16));
        if header.snapshot_count > 0 {
            starts.push((header.snapshots_offset as usize, 160));
        }
        if let Some(extension) = header.extension(Extension::BITMAPS) {
            let directory = u64::from_be_bytes(extension[16..].try_into().expect("8 bytes"));
            starts.push((directory as usize, 96));
            starts.push((word(directory as usize) as usize, 16));
            let all = Bitmap::read_all(&mut std::io::Cursor::new(&bytes), &header);
            assert!(!all.expect("bitmaps").is_empty());
        }
        if let Some(extension) = header.extension(Extension::CRYPTO_HEADER) {
            let start = u64::from_be_bytes(extension[..8].try_into().expect("8 bytes"));
            starts.push((start as usize, 592));
        }
        let regions = starts.into_iter().map(|(start, length)| {
            let end = (start + length).min(bytes.len());
            (start, end)
        });
        Original {
            regions: regions.filter(|(start, end)| start < end).collect(),
            is_encrypted: header.encryption_format().is_some(),
            bytes,
        }
    }

    /// Returns the image with a few random changes.
    fn mutate(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for _ in 0..rng.usize(1..=3) {
            let (start, end) = match rng.u32(..10) {
                0 => (0, bytes.len()),
                _ => self.regions[rng.usize(..self.regions.len())],
            };
            let at = rng.usize(start..end);
            let value = match rng.u32(..6) {
                0 => 0,
                1 => rng.u64(..4),
                2 => u64::MAX,
                3 => 1 << rng.u32(..64),
                4 => rng.u64(..) >> rng.u32(..64),
                _ => rng.u64(..bytes.len() as u64),
            };
            let (at, width) = match rng.u32(..4) {
                0 => (at / 8 * 8, 8),
                1 => (at / 4 * 4, 4),
                _ => (at, 1),
            };
            let value = &value.to_be_bytes()[8 - width..];
            let end = (at + width).min(bytes.len());
            bytes[at..end].copy_from_slice(&value[..end - at]);
        }
        if rng.u32(..20) == 0 {
            bytes.truncate(rng.usize(..bytes.len()));
        }
        bytes
    }
}

/// Creates an image of each kind.
fn originals() -> (Dir, Vec<Original>) {
    let dir = with_base();
    for options in [
        "-b node.img -F raw overlay 2M",
        "-o compat=0.10 -b node.img -F raw old 2M",
        "-o cluster_size=512 tables 1M",
        &format!("{LUKS} luks 1M"),
        "-o data_file=data.img external 1M",
        "-o data_file=data.img,data_file_raw=on raw 1M",
        "-o extended_l2=on,lazy_refcounts=on,refcount_bits=1,compression_type=zstd options 4M",
    ] {
        dir.qemu_img(&format!("create -q -f qcow2 {options}"));
    }
    for name in ["one", "two"] {
        qemu_io(&dir, "write -P 1 0 64k", "tables");
        dir.qemu_img(&format!("snapshot -c {name} tables"));
        dir.qemu_img(&format!("bitmap --add tables bitmap-{name}"));
    }
    for name in ["old", "options"] {
        qemu_io(&dir, "write -P 1 0 64k", name);
    }
    dir.tool("clone overlay clone").ok();
    let names = [
        "overlay", "old", "tables", "luks", "external", "raw", "options", "clone",
    ];
    let originals = names.map(|name| Original::read(&dir, name));
    (dir, originals.into())
}

/// Returns the class of a message: the message without its numbers, names and paths.
fn class(kind: &str, message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.rsplit("changed.qcow2\": ").next().unwrap_or_default();
    let line = line.rsplit("'changed.qcow2': ").next().unwrap_or_default();
    let line = line
        .rsplit("device changed.qcow2: ")
        .next()
        .unwrap_or_default();
    let words: Vec<&str> = line
        .split(' ')
        .map(|word| {
            let is_number = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_number.starts_with(|c: char| c.is_ascii_digit()) {
                "N"
            } else {
                word
            }
        })
        .collect();
    format!("{kind}: {}", words.join(" "))
}

/// Runs a program of QEMU, whose messages need not be UTF-8.
fn qemu(dir: &Dir, program: &str, arguments: &[&str]) -> Run {
    let mut command = dir.command(program);
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("it starts");
    Run {
        status: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs the tool, which must succeed in silence or refuse in one line.
fn run_tool(dir: &Dir, arguments: &str) -> Run {
    let run = dir.tool(arguments);
    let lines = run.stderr.lines().count();
    assert!(
        matches!((run.status, lines), (Some(0), 0) | (Some(1), 1)),
        "{run:?}"
    );
    run
}

/// Compares how the tool and QEMU see changed.qcow2, and returns whether they could compare the
/// content of a clone, too. An error is the class of the difference.
fn compare(dir: &Dir, is_encrypted: bool) -> Result<bool, String> {
    let theirs = qemu(dir, "qemu-img", &["info", "--output=json", "changed.qcow2"]);
    let ours = run_tool(dir, "info --output json changed.qcow2");
    match (ours.status, theirs.status) {
        (Some(0), Some(0)) => {}
        (Some(0), _) if is_encrypted => return Err("accepted: a LUKS header".to_owned()),
        (Some(0), _) => return Err(class("accepted", &theirs.stderr)),
        (_, Some(0)) => return Err(class("refused", &ours.stderr)),
        _ => return Ok(false),
    }
    let [ours, theirs] = [ours, theirs].map(|run| {
        let mut value: Value = serde_json::from_slice(&run.stdout).expect("JSON");
        if is_encrypted {
            // Of LUKS encryption the tool gives only the format.
            value["format-specific"]["data"]["encrypt"] = Value::Null;
        }
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    });
    let mut keys = theirs.keys().chain(ours.keys());
    let key = keys.find(|key| ours.get(*key) != theirs.get(*key));
    if let Some(key) = key {
        let [ours, theirs] = [&ours, &theirs].map(|map| map.get(key));
        println!("{key}: {theirs:?}, ours {ours:?}");
        return Err(format!("info: {key}"));
    }
    let clone = run_tool(dir, "clone changed.qcow2 clone.qcow2");
    if is_encrypted {
        return Ok(false); // nobody has the key
    }
    let open = |name: &str| qemu(dir, "qemu-io", &["-r", "-c", "length", name]);
    let original = open("changed.qcow2");
    match (clone.status, original.status) {
        (Some(0), Some(0)) => {}
        (Some(0), _) => return Err(class("cloned, but QEMU", &original.stderr)),
        // Only qcow2 images have clones.
        (_, Some(0)) if ours["format"] == "raw" => return Ok(false),
        (_, Some(0)) => return Err(class("not cloned", &clone.stderr)),
        _ => return Ok(false),
    }
    assert_eq!(
        open("clone.qcow2").status,
        Some(0),
        "QEMU does not open the clone"
    );
    let compared = |other| qemu(dir, "qemu-img", &["compare", "changed.qcow2", other]).status;
    match compared("clone.qcow2") {
        Some(0) => Ok(true),
        Some(1) => Err("clone: it has another content".to_owned()),
        // The original cannot be read, either.
        Some(2..) if compared("changed.qcow2") != Some(0) => Ok(false),
        _ => Err("clone: it cannot be read".to_owned()),
    }
}

#[test]
fn sees_mutations_as_qemu_does() {
    let (rounds, seed) = (number("QCOW2_ROUNDS", 300), number("QCOW2_SEED", 0));
    let (dir, originals) = originals();
    let mut rng = Rng::with_seed(seed);
    let mut classes = BTreeMap::new();
    let mut cloned = 0;
    for round in 0..rounds {
        let original = &originals[rng.usize(..originals.len())];
        dir.write("changed.qcow2", &original.mutate(&mut rng));
        match compare(&dir, original.is_encrypted) {
            Ok(is_cloned) => cloned += u64::from(is_cloned),
            Err(class) => classes.entry(class).or_insert_with(Vec::new).push(round),
        }
        let _ = fs::remove_file(dir.path("clone.qcow2"));
    }
    let mut unknown = 0;
    for (class, found) in &classes {
        let known = KNOWN.iter().find(|(start, _)| class.starts_with(start));
        let reason = known.map_or("UNKNOWN", |(_, reason)| reason);
        unknown += u32::from(known.is_none());
        println!("{:5} {class} ({reason}), first {}", found.len(), found[0]);
    }
    let different: usize = classes.values().map(Vec::len).sum();
    println!("{rounds} mutations, {different} seen differently, {unknown} unknown classes");
    println!("{cloned} clones compared");
    assert_eq!(unknown, 0, "unknown classes, see above");
    assert!(
        rounds < 100 || cloned > rounds / 4,
        "{cloned} of {rounds} cloned"
    );
}
