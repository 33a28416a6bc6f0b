//! The same content and options give the same bytes, whatever the source and the machine.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use qcow2_overlay::{chain, Conversion, Existing, Format, OptionList};

use crate::common::{tool, Dir, Run};
use crate::convert::{data, disk};

/// Writes `disk` to a file. A block of zeros becomes a hole if `is_hole` says so of its offset.
fn write_with_holes(path: &Path, disk: &[u8], is_hole: impl Fn(usize) -> bool) {
    let file = File::create(path).expect("create");
    file.set_len(disk.len() as u64).expect("set length");
    for (index, block) in disk.chunks(4096).enumerate() {
        let is_zero = block.iter().all(|byte| *byte == 0);
        if !(is_zero && is_hole(index * 4096)) {
            file.write_all_at(block, index as u64 * 4096)
                .expect("write");
        }
    }
}

#[test]
fn holes_file_systems_and_formats_do_not_change_the_bytes() {
    let disk = disk();
    let dir = Dir::new();
    let mut places = vec![dir.path(".")];
    // Another file system, if there is one.
    let memory = tempfile::TempDir::new_in("/dev/shm").ok();
    places.extend(memory.as_ref().map(|it| it.path().to_owned()));
    for options in [
        "-o cluster_size=64K",
        "-o extended_l2=on",
        "-c",
        "-c -o extended_l2=on,compression_type=zstd",
    ] {
        let mut results = Vec::new();
        for place in &places {
            for (name, is_hole) in [
                ("no-hole", (|_| false) as fn(usize) -> bool),
                ("holes", |_| true),
                ("every-other", |offset| offset / 4096 % 2 == 0),
                ("end", |offset| offset > 2 << 20),
            ] {
                write_with_holes(&place.join("source"), &disk, is_hole);
                for format in ["raw", "qcow2"] {
                    let from = match format {
                        "raw" => place.join("source"),
                        _ => place.join("last-result"),
                    };
                    let to = place.join("result");
                    let mut command = dir.command(tool());
                    command.args(["convert", "-q", "--force", "-f", format]);
                    command.args(options.split(' '));
                    Run::of(command.arg(from).arg(&to)).ok();
                    results.push((format!("{name} {format}"), fs::read(&to).expect("read")));
                    fs::rename(&to, place.join("last-result")).expect("rename");
                }
            }
        }
        for (name, result) in &results {
            assert!(*result == results[0].1, "{options} {name} in {places:?}");
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_the_bytes() {
    let dir = Dir::new();
    dir.write("disk.raw", &[data(3 << 20), disk()].concat());
    dir.write("base.raw", &data(4 << 20));
    for (options, is_compressed) in [
        ("cluster_size=4K", false),
        ("extended_l2=on", false),
        ("cluster_size=4K", true),
        ("compression_type=zstd", true),
    ] {
        for base in [false, true] {
            let mut list = OptionList::default();
            list.add(options.as_bytes()).expect("options");
            let options = if base {
                list.options().backing("base.raw", Some(Format::Raw))
            } else {
                list.options()
            };
            let base = if base {
                chain(&dir.path("base.raw"), None).expect("a chain")
            } else {
                Vec::new()
            };
            let mut results = Vec::new();
            for threads in [1, 2, 3, 4] {
                let source = chain(&dir.path("disk.raw"), None).expect("a chain");
                Conversion::to_qcow2(options.clone())
                    .base(&base)
                    .compressed(is_compressed)
                    .existing(Existing::Replace)
                    .threads(threads)
                    .write_file(&source, &dir.path("result"))
                    .expect("a conversion");
                results.push(dir.read("result"));
            }
            assert!(results.iter().all(|result| *result == results[0]));
        }
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs taskset")]
fn the_number_of_processors_does_not_change_the_bytes() {
    let dir = Dir::new();
    dir.write("disk.raw", &[data(2 << 20), disk()].concat());
    dir.tool("convert -q disk.raw many").ok();
    let mut command = dir.command("taskset");
    command.args(["-c", "0"]).arg(tool());
    Run::of(command.args(["convert", "-q", "disk.raw", "one"])).ok();
    assert!(dir.read("one") == dir.read("many"));
}
