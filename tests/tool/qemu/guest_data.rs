//! What random guests wrote, read and converted by the tool and by QEMU. To run more rounds:
//!
//! ```sh
//! QCOW2_ROUNDS=10000 QCOW2_SEED=1 cargo test --release --test qemu guests -- --nocapture
//! ```
//!
//! Round N with seed S is the first round with seed S + N.

use std::fs;
use std::path::Path;

use fastrand::Rng;
use qcow2_overlay::{
    chain, Content, Conversion, DiskReader, Error, Existing, Format, ImageInfo, NewImage,
    OptionList, Options,
};
use serde_json::Value;

use crate::random::number;
use crate::random_guest::{choose, options, Counts, Guest, SMALL};

fn count(counts: &mut Counts, what: &str) {
    *counts.entry(what.to_owned()).or_default() += 1;
}

fn read_chain(guest: &Guest, name: &str, format: &str) -> Vec<ImageInfo> {
    let format: Format = format.parse().expect("raw or qcow2");
    chain(&guest.dir.path(name), Some(format)).expect("a chain")
}

fn convert(guest: &Guest, conversion: &Conversion, name: &str, from: &str, format: &str) {
    if let Err(error) = try_convert(guest, conversion, name, from, format) {
        panic!("{from} to {name}: {error}");
    }
}

fn try_convert(
    guest: &Guest,
    conversion: &Conversion,
    name: &str,
    from: &str,
    format: &str,
) -> qcow2_overlay::Result<NewImage> {
    let source = read_chain(guest, from, format);
    conversion.write_file(&source, &guest.dir.path(name))
}

/// Options of a new image, and whether to compress it.
#[derive(Clone)]
struct Target {
    options: Options,
    is_compressed: bool,
}

/// Returns random options that `size` allows, also as text.
fn random_target(rng: &mut Rng, size: u64) -> (String, Target) {
    let mut text = loop {
        let (text, cluster_size) = options(rng);
        if size < 256 << 20 || cluster_size > 2048 {
            break text;
        }
    };
    if !text.contains("compat=0.10") && rng.bool() {
        text += ",compression_type=zstd";
    }
    let mut list = OptionList::default();
    list.add(text.as_bytes()).expect("options");
    let target = Target {
        options: list.options(),
        is_compressed: rng.bool(),
    };
    (format!("{text}, -c {}", target.is_compressed), target)
}

/// Returns a conversion that replaces what an earlier one has written.
fn conversion<'a>(target: Target, threads: usize) -> Conversion<'a> {
    Conversion::to_qcow2(target.options)
        .compressed(target.is_compressed)
        .threads(threads)
        .existing(Existing::Replace)
}

/// Checks that an image of ours is clean, and that QEMU reads the same from it and the source.
fn check(guest: &mut Guest, name: &str, what: &str) {
    let said = guest.qemu_img(&format!("check -f qcow2 {name}")).ok();
    assert!(said.starts_with("No errors were found"), "{what}: {said}");
    let (top, format) = guest.top();
    let run = guest.qemu_img(&format!("compare -f {format} -F qcow2 {top} {name}"));
    assert_eq!(run.status, Some(0), "{what}: {run:?}");
}

/// Returns the offset of the first byte that differs.
fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let pairs = one.iter().zip(other);
    let found = pairs.into_iter().position(|(a, b)| a != b);
    found.or((one.len() != other.len()).then_some(one.len().min(other.len())))
}

/// Checks that the library reads what QEMU reads, in parts of any length.
fn check_reader(guest: &mut Guest, rng: &mut Rng, reader: &DiskReader) {
    let (top, format) = guest.top();
    guest
        .qemu_img(&format!("convert -f {format} -O raw {top} flat"))
        .ok();
    let flat = guest.dir.read("flat");
    let mut ours = vec![1; reader.virtual_size() as usize];
    let mut done = 0;
    while done < ours.len() {
        let most = 1 << rng.u32(8..22);
        let length = rng.usize(1..=most).min(ours.len() - done);
        reader
            .read_at(&mut ours[done..done + length], done as u64)
            .expect("data");
        done += length;
    }
    assert_eq!(
        first_difference(&ours, &flat),
        None,
        "read by the library and by QEMU"
    );
}

/// Checks that the extents are those of `qemu-img map`. QEMU also asks the file system for holes
/// in data if it takes the image for one with preallocated metadata: see holes.rs.
fn check_extents(guest: &mut Guest, reader: &DiskReader) {
    let (top, format) = guest.top();
    let text = guest
        .qemu_img(&format!("map -f {format} --output json {top}"))
        .ok();
    let entries: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let mut offset = 0;
    for entry in entries {
        let number = |key: &str| entry[key].as_u64();
        let start = number("start").expect("a number");
        let end = start + number("length").expect("a number");
        assert_eq!(start, offset, "{text}");
        while offset < end {
            let extent = reader.extent(offset, reader.depth()).expect("an extent");
            let at = format!("at {offset}: {extent:?}, {entry}");
            match extent.content {
                Content::Data {
                    image,
                    offset: host,
                } => {
                    let is_compressed = host.is_none();
                    assert_eq!(entry["data"], true, "{at}");
                    // QEMU before 8.2 does not say.
                    if !entry["compressed"].is_null() {
                        assert_eq!(entry["compressed"], is_compressed, "{at}");
                    }
                    assert_eq!(number("depth"), Some(image as u64), "{at}");
                    let theirs = number("offset").map(|host| host + offset - start);
                    assert_eq!(theirs, host, "{at}");
                }
                Content::Zero => {
                    assert_eq!(entry["data"], false, "{at}");
                    assert_eq!(entry["zero"], true, "{at}");
                }
                Content::Unallocated => panic!("nothing is beneath the whole chain, {at}"),
            }
            offset = end.min(offset + extent.length);
        }
    }
    assert_eq!(offset, reader.virtual_size(), "{text}");
}

/// Copies the source with `qemu-img convert`, in another format and layout; returns the format.
fn copy(guest: &mut Guest, rng: &mut Rng, size: u64) -> &'static str {
    let (top, format) = guest.top();
    let convert = format!("convert -f {format}");
    if size <= SMALL && rng.u32(..3) == 0 {
        // All zeros are written, or runs of 4 KiB and more become holes.
        let sparse = choose(rng, &["-S 0", "-S 4k"]);
        guest
            .qemu_img(&format!("{convert} {sparse} -O raw {top} copy"))
            .ok();
        return "raw";
    }
    let cluster_size = 1 << rng.u32(12..=21);
    let compression = choose(
        rng,
        &["", "-c", "-c -o compression_type=zstd", "-o extended_l2=on"],
    );
    let cluster_size = if compression.contains("extended") {
        cluster_size.max(16 << 10)
    } else {
        cluster_size
    };
    let options = format!("{compression} -o cluster_size={cluster_size}");
    guest
        .qemu_img(&format!("{convert} -O qcow2 {options} {top} copy"))
        .ok();
    "qcow2"
}

/// What is counted instead of a check that an image did not allow.
const UNREADABLE: &str = "unreadable to the tool and to QEMU";

/// Checks that QEMU cannot read an image either. When it shrinks one with compressed clusters of 2 MiB
/// it can damage it: one of some thousand images of these guests, and not each time.
fn check_unreadable(guest: &mut Guest, name: &str, format: &str, error: &Error) {
    let theirs = guest.qemu_img(&format!("convert -f {format} -O qcow2 {name} unreadable"));
    assert_eq!(theirs.status, Some(1), "{name}: {error}");
}

/// Checks that overlays of `base` made from the source and from its copy are the same. Returns what to
/// count instead if `base` cannot be read.
fn check_overlay(
    guest: &mut Guest,
    rng: &mut Rng,
    (base, base_format): (&str, &str),
    copy_format: &str,
) -> Option<&'static str> {
    let (top, format) = guest.top();
    let base_chain = read_chain(guest, base, base_format);
    let size = read_chain(guest, &top, format)[0].virtual_size;
    let least = base_chain[0].virtual_size;
    let (text, mut target) = random_target(rng, size.max(least));
    let format_of_base = Some(base_chain[0].format);
    target.options = target.options.backing(base, format_of_base);
    if size < least {
        target.options = target.options.virtual_size(least);
    }
    let threads = rng.usize(1..=4);
    let over_base = |threads| conversion(target.clone(), threads).base(&base_chain);
    if let Err(error) = try_convert(guest, &over_base(threads), "overlay", &top, format) {
        check_unreadable(guest, base, base_format, &error);
        return Some(UNREADABLE);
    }
    convert(
        guest,
        &over_base(5 - threads),
        "overlay-2",
        "copy",
        copy_format,
    );
    let what = format!("overlay of {base} with {text}");
    assert!(same_file(guest, "overlay", "overlay-2"), "{what}");
    check(guest, "overlay", &what);
    None
}

fn same_file(guest: &Guest, one: &str, other: &str) -> bool {
    guest.dir.read(one) == guest.dir.read(other)
}

fn times(guest: &Guest) -> Vec<(std::time::SystemTime, u64)> {
    let stat = |path: &Path| {
        let metadata = fs::metadata(path).expect("metadata");
        (metadata.modified().expect("a time"), metadata.len())
    };
    let images = guest.images.iter();
    images
        .map(|(name, _)| stat(&guest.dir.path(name)))
        .collect()
}

fn round(rng: &mut Rng, counts: &mut Counts) {
    let mut guest = Guest::new(rng);
    check_all(&mut guest, rng, counts);
    for (kind, number) in &guest.succeeded {
        *counts.entry(kind.clone()).or_default() += number;
    }
}

fn check_all(guest: &mut Guest, rng: &mut Rng, counts: &mut Counts) {
    let (top, format) = guest.top();
    let before = times(guest);
    let images = read_chain(guest, &top, format);
    let reader = DiskReader::of(&images).expect("a disk");
    let size = reader.virtual_size();
    count(counts, "images");
    let (text, target) = random_target(rng, size);
    let threads = rng.usize(1..=4);
    let ours = conversion(target.clone(), threads);
    if let Err(error) = try_convert(guest, &ours, "ours", &top, format) {
        check_unreadable(guest, &top, format, &error);
        count(counts, UNREADABLE);
        return;
    }
    check(guest, "ours", &text);
    count(counts, "converted to qcow2");
    if target.is_compressed {
        count(counts, "compressed");
    }
    if size <= SMALL {
        check_reader(guest, rng, &reader);
        count(counts, "read");
        if rng.u32(..4) == 0 {
            convert(
                guest,
                &Conversion::to_raw(None).existing(Existing::Replace),
                "raw",
                &top,
                format,
            );
            assert!(same_file(guest, "raw", "flat"), "raw");
            count(counts, "converted to raw");
        }
    }
    if rng.u32(..3) == 0 {
        check_extents(guest, &reader);
        count(counts, "mapped");
    }
    if rng.bool() {
        let copy_format = copy(guest, rng, size);
        let ours = conversion(target, 5 - threads);
        convert(guest, &ours, "ours-2", "copy", copy_format);
        assert!(same_file(guest, "ours", "ours-2"), "{text}");
        count(counts, "converted from a copy");
        if guest.images.len() > 1 {
            let (base, format) = guest.images[rng.usize(..guest.images.len() - 1)].clone();
            let done = check_overlay(guest, rng, (&base, format), copy_format);
            count(counts, done.unwrap_or("overlays of a base of its own"));
        }
        if rng.bool() {
            fs::copy(guest.dir.path("copy"), guest.dir.path("other")).expect("copy");
            guest.change(rng, "other", copy_format);
            let done = check_overlay(guest, rng, ("other", copy_format), copy_format);
            count(counts, done.unwrap_or("overlays of another base"));
        }
    }
    assert_eq!(before, times(guest), "a source was written to");
}

#[test]
fn reads_and_converts_what_random_guests_wrote() {
    let (rounds, seed) = (number("QCOW2_ROUNDS", 48), number("QCOW2_SEED", 0));
    let mut counts = Counts::new();
    for number in 0..rounds {
        let mut rng = Rng::with_seed(seed + number);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            round(&mut rng, &mut counts);
        }));
        assert!(result.is_ok(), "with seed {}", seed + number);
        if number % 1000 == 999 {
            println!("{counts:?}");
        }
    }
    println!("{counts:?}");
    for what in [
        "read",
        "mapped",
        "compressed",
        "converted from a copy",
        "qemu-io",
        "snapshot -c",
        "snapshot -a",
        "snapshot -d",
        "resize",
        "rebase",
        "commit",
    ] {
        let number = counts.get(what).copied().unwrap_or_default();
        assert!(rounds < 48 || number > 0, "{what}");
    }
}
