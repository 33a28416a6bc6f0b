//! `create` with random options, compared with the real `qemu-img`. To run more rounds:
//!
//! ```sh
//! QCOW2_ROUNDS=10000 QCOW2_SEED=1 cargo test --release --test qemu random
//! ```

use std::env;
use std::fs;

use fastrand::Rng;

use crate::common::{tool, Dir, Run};
use crate::random_guest::choose;
use crate::{pattern, qemu_io};

/// The arguments of `create` for both.
struct Request {
    options: Vec<String>,
    size: String,
    backing: Option<(&'static str, &'static str)>,
}

/// Returns a number of bytes of any magnitude, in any spelling.
fn size(rng: &mut Rng) -> String {
    let bytes = rng.u64(..) >> rng.u32(2..64);
    match rng.u32(..8) {
        0 => format!("{bytes:#x}"),
        1 => format!("{}K", bytes >> 10),
        2 => format!("{}m", bytes >> 20),
        3 => format!("{}.{}G", bytes >> 50, rng.u32(..1000)),
        4 => format!(".{}{}", rng.u32(..), choose(rng, &["k", "M", "T", "P"])),
        5 => format!("{}{}", rng.u32(..40), choose(rng, &["T", "P", "E"])),
        6 if rng.bool() => {
            let odd = [
                "1.5", "-1", "1KB", "", "1e3", "0x", "0x5K", "5.", "5b", "5.0B", "8E",
            ];
            choose(rng, &odd).to_owned()
        }
        _ => bytes.to_string(),
    }
}

fn request(rng: &mut Rng) -> Request {
    let mut options = Vec::new();
    let mut maybe = |rng: &mut Rng, name: &str, value: String| {
        if rng.bool() {
            options.push(format!("{name}={value}"));
        }
    };
    let compat = choose(rng, &["0.10", "1.1", "v2", "v3", "1.1", "v3", "v4"]).to_owned();
    maybe(rng, "compat", compat);
    let cluster_size = match rng.u32(..12) {
        0 => rng.u32(..5 << 20).to_string(),
        _ => (1u64 << rng.u32(8..=22)).to_string(),
    };
    maybe(rng, "cluster_size", cluster_size);
    let refcount_bits = match rng.u32(..12) {
        0 => rng.u32(..130).to_string(),
        1..=4 => "16".to_owned(),
        _ => (1u64 << rng.u32(..=6)).to_string(),
    };
    maybe(rng, "refcount_bits", refcount_bits);
    for name in ["lazy_refcounts", "extended_l2"] {
        if rng.bool() {
            let value = choose(rng, &["on", "off"]).to_owned();
            maybe(rng, name, value);
        }
    }
    let compression_type = choose(rng, &["zlib", "zstd", "zstd", "lzma"]).to_owned();
    maybe(rng, "compression_type", compression_type);
    rng.shuffle(&mut options);
    let bases = [("base.raw", "raw"), ("base.qcow2", "qcow2")];
    let backing = rng.bool().then(|| choose(rng, &bases));
    let size = size(rng);
    Request {
        options,
        size,
        backing,
    }
}

impl Request {
    fn run(&self, dir: &Dir, program: &std::path::Path, name: &str) -> Run {
        let mut command = dir.command(program);
        command.args(["create", "-q", "-f", "qcow2"]);
        if !self.options.is_empty() {
            command.args(["-o", &self.options.join(",")]);
        }
        if let Some((base, format)) = self.backing {
            // Without -u the tool refuses a disk that is smaller than its base.
            command.args(["-u", "-b", base, "-F", format]);
        }
        // getopt would take a size that begins with a hyphen for options.
        Run::of(command.arg("--").arg(name).arg(&self.size))
    }

    fn describe(&self) -> String {
        let Request {
            options,
            size,
            backing,
        } = self;
        format!("-o {} {backing:?} {size:?}", options.join(","))
    }
}

/// Creates the image with both, and checks that they agree on whether it can be created.
fn create(dir: &Dir, request: &Request) -> bool {
    let theirs = request.run(dir, "qemu-img".as_ref(), "theirs.qcow2");
    let ours = request.run(dir, &tool(), "ours.qcow2");
    let accepted = theirs.status == Some(0);
    // A request that the tool does not understand ends with 2.
    let is_refused = matches!(ours.status, Some(1 | 2)) && ours.stderr.lines().count() == 1;
    let is_same = match accepted {
        true => ours.status == Some(0) && ours.stderr.is_empty(),
        false => theirs.status == Some(1) && is_refused,
    };
    let what = request.describe();
    assert!(is_same, "{what}\nours: {ours:?}\ntheirs: {theirs:?}");
    accepted
}

/// Returns what `qemu-img info` prints, without what depends on the name and the file length.
fn info(dir: &Dir, name: &str) -> Vec<String> {
    let text = dir.qemu_img(&format!("info {name}"));
    let depends = ["image:", "disk size:", "filename:", "file length:"];
    text.lines()
        .filter(|line| !depends.iter().any(|key| line.trim_start().starts_with(key)))
        .map(str::to_owned)
        .collect()
}

/// Writes the same to both images, and checks that they read the same.
fn write_and_compare(dir: &Dir, rng: &mut Rng, virtual_size: u64) {
    for _ in 0..rng.u32(1..4) {
        let offset = rng.u64(..virtual_size);
        let most = 1 << rng.u32(1..21);
        let length = rng.u64(1..=most).min(virtual_size - offset);
        let command = match rng.u32(..5) {
            0 => format!("write -z {offset} {length}"),
            1 => format!("discard {offset} {length}"),
            _ => format!("write -P {} {offset} {length}", rng.u8(..)),
        };
        for name in ["ours.qcow2", "theirs.qcow2"] {
            qemu_io(dir, &command, name);
        }
    }
    dir.qemu_img("compare ours.qcow2 theirs.qcow2");
    dir.check("ours.qcow2", "written to");
}

/// Returns the number in the environment variable `name`, or `default` if it is not set.
pub fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: {text}")),
        Err(_) => default,
    }
}

#[test]
fn random_options_give_what_qemu_img_gives() {
    let (rounds, seed) = (number("QCOW2_ROUNDS", 200), number("QCOW2_SEED", 0));
    let dir = Dir::new();
    dir.write("base.raw", &pattern(100 << 10));
    dir.tool("create -q -b base.raw base.qcow2").ok();
    let mut rng = Rng::with_seed(seed);
    let (mut accepted, mut equal, mut compared) = (0, 0, 0);
    for _ in 0..rounds {
        let request = request(&mut rng);
        if create(&dir, &request) {
            accepted += 1;
            let image = qcow2_overlay::ImageInfo::read(&dir.path("ours.qcow2"), None);
            let image = image.expect("an image");
            let header = image.header.expect("a header");
            if header.cluster_size() >= 16 << 10 && header.refcount_bits() == 16 {
                equal += 1;
                let same = dir.read("ours.qcow2") == dir.read("theirs.qcow2");
                assert!(same, "other bytes: {}", request.describe());
            } else {
                assert_eq!(info(&dir, "ours.qcow2"), info(&dir, "theirs.qcow2"));
                dir.check("ours.qcow2", &request.describe());
            }
            // qemu-img is slow to compare larger disks.
            if (1..1 << 30).contains(&image.virtual_size) {
                compared += 1;
                write_and_compare(&dir, &mut rng, image.virtual_size);
            }
        }
        for name in ["ours.qcow2", "theirs.qcow2"] {
            let _ = fs::remove_file(dir.path(name));
        }
    }
    println!("{rounds} option sets: {accepted} accepted, {equal} equal byte for byte, {compared} written to and compared");
    assert!(accepted > rounds / 4 && equal > 0 && compared > 0);
}
