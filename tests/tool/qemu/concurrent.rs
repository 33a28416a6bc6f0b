//! A guest with many requests in flight on a disk of `exec`: none is lost.
//!
//! Requests that are in flight together never overlap, so the content is known. They share
//! clusters, which is where QEMU has lost some. The seed is random; to repeat a run:
//!
//! ```sh
//! QCOW2_SEED=1 QCOW2_ROUNDS=20 cargo test --test qemu concurrent
//! ```

use std::fmt::Write;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use fastrand::Rng;

use crate::common::{Dir, Run};
use crate::exec::exec;
use crate::random::number;
use crate::random_guest::choose;

/// The unit of a guest's requests.
const BLOCK: usize = 4 << 10;
/// The default cluster of an overlay, where the tests give no other.
const CLUSTER: usize = 64 << 10;
const CLUSTERS: usize = 512;
/// How often all requests are waited for, so that later ones overwrite what they wrote.
const BATCHES: usize = 3;

/// What a guest does to some blocks.
#[derive(Clone, Copy, PartialEq)]
enum Request {
    Nothing,
    Data,
    /// Zeros as data.
    Zeros,
    /// WRITE ZEROES that keeps the space.
    ZeroWrite,
    /// WRITE ZEROES that gives the space back.
    Unmap,
    /// A discard of the whole cluster. `qemu-io` waits for it, but not for what came before.
    Discard,
}
use Request::*;

/// A disk, the requests to it, and what it must then read as.
struct Guest {
    dir: Dir,
    content: Vec<u8>,
    commands: String,
}

/// Returns a cluster in up to four parts, each of whole blocks.
fn parts(rng: &mut Rng, cluster: usize) -> Vec<Range<usize>> {
    let mut ends: Vec<_> = (0..rng.usize(..4))
        .map(|_| rng.usize(1..CLUSTER / BLOCK) * BLOCK)
        .collect();
    ends.push(CLUSTER);
    ends.sort();
    ends.dedup();
    let start = cluster * CLUSTER;
    let mut from = start;
    let part = |end| {
        let part = from..start + end;
        from = part.end;
        part
    };
    ends.into_iter().map(part).collect()
}

impl Guest {
    /// Creates an overlay, `node.qcow2`, of a base that has data in one part of each cluster.
    fn new(rng: &mut Rng, options: &str, base: &str) -> Self {
        let dir = Dir::new();
        dir.sparse("base.raw", (CLUSTERS * CLUSTER) as u64);
        let file = File::options().write(true).open(dir.path("base.raw"));
        let file = file.expect("open");
        let mut content = vec![0; CLUSTERS * CLUSTER];
        for cluster in 0..CLUSTERS {
            let parts = parts(rng, cluster);
            let part = parts[rng.usize(..parts.len())].clone();
            let data = vec![0x11; part.len()];
            file.write_all_at(&data, part.start as u64).expect("write");
            content[part].fill(0x11);
        }
        dir.tool("convert -q base.raw base.qcow2").ok();
        dir.tool(&format!("create -q -o {options} -b {base} node.qcow2"))
            .ok();
        std::fs::create_dir(dir.path("tmp")).expect("mkdir");
        Guest {
            dir,
            content,
            commands: String::new(),
        }
    }

    /// Adds requests to all clusters, and then waits for them.
    fn add_batch(&mut self, rng: &mut Rng, requests: &[Request]) {
        let mut clusters: Vec<_> = (0..CLUSTERS).collect();
        rng.shuffle(&mut clusters);
        for cluster in clusters {
            if requests.contains(&Discard) && rng.usize(..8) == 0 {
                self.add(rng, Discard, cluster * CLUSTER..(cluster + 1) * CLUSTER);
                continue;
            }
            let mut parts = parts(rng, cluster);
            rng.shuffle(&mut parts);
            for part in parts {
                match choose(rng, requests) {
                    Discard => {}
                    request => self.add(rng, request, part),
                }
            }
        }
        self.commands += "aio_flush\n";
    }

    fn add(&mut self, rng: &mut Rng, request: Request, part: Range<usize>) {
        let pattern = match request {
            Nothing => return,
            Data => rng.u8(1..),
            _ => 0,
        };
        let command = match request {
            Nothing => return,
            Data | Zeros => format!("aio_write -q -P {pattern}"),
            ZeroWrite => "aio_write -q -z".to_owned(),
            Unmap => "aio_write -q -z -u".to_owned(),
            Discard => "discard -q".to_owned(),
        };
        writeln!(self.commands, "{command} {} {}", part.start, part.len()).expect("a string");
        self.content[part].fill(pattern);
    }

    /// Runs the commands in `exec`, and checks the image and its content.
    #[track_caller]
    fn check(&self, what: &str) {
        let commands = format!("{}quit\n", self.commands);
        self.dir.write("commands", commands.as_bytes());
        let script = "qemu-io \"json:$A_BLOCKDEV\" < commands > said 2>&1
            qemu-img check \"$A\" > check || true
            qemu-img convert -O raw \"$A\" flat.img";
        Run::of(&mut exec(&self.dir, "node.qcow2", script)).ok();
        let read = |name| String::from_utf8(self.dir.read(name)).expect("UTF-8");
        let said = read("said").replace("qemu-io> ", "");
        assert_eq!(said.trim(), "", "{what}");
        let found = self.dir.read("flat.img");
        let blocks = found.chunks(BLOCK).zip(self.content.chunks(BLOCK));
        let lost = blocks.filter(|(found, expected)| found != expected);
        assert_eq!(lost.count(), 0, "blocks are lost: {what}");
        let check = read("check");
        assert!(check.starts_with("No errors"), "{what}: {check}");
    }
}

/// Checks that no request is lost on overlays with these options of this base.
fn nothing_is_lost(options: &str, base: &str, requests: &[Request]) {
    let seed = number("QCOW2_SEED", fastrand::u64(..));
    let mut rng = Rng::with_seed(seed);
    for round in 0..number("QCOW2_ROUNDS", 2) {
        let mut guest = Guest::new(&mut rng, options, base);
        for _ in 0..BATCHES {
            guest.add_batch(&mut rng, requests);
        }
        guest.check(&format!(
            "QCOW2_SEED={seed}, round {round}, -o {options} -b {base}"
        ));
    }
}

/// Returns whether QEMU keeps zero writes beside other writes to the same cluster (QEMU's commit
/// b8bfb1478d61 and its correction 1d47eb689835).
fn keeps_zero_writes() -> bool {
    let said = Dir::new().qemu_img("--version");
    let version = said.split_whitespace().nth(2).expect("a version");
    let version: Vec<u32> = version
        .split('.')
        .map(|it| it.parse().unwrap_or(0))
        .collect();
    println!("QEMU {version:?}");
    version >= vec![11, 0, 2] || (version.starts_with(&[10, 0]) && version[2] >= 11)
}

/// Two bases with holes: QEMU writes zeros in another way where the rest of a cluster reads as zeros.
const BASES: [&str; 2] = ["base.raw", "base.qcow2"];

#[test]
fn writes_and_discards_side_by_side_are_kept() {
    for options in ["cluster_size=64K", "cluster_size=4K", "extended_l2=on"] {
        for base in BASES {
            nothing_is_lost(options, base, &[Nothing, Data, Data, Zeros, Discard]);
        }
    }
}

/// No option keeps QEMU before 10.0.11 and 11.0.2 from losing a zero write beside a write to the
/// same cluster. Where no two requests share a cluster or a subcluster, it has nothing to lose.
#[test]
fn zero_writes_and_writes_side_by_side_are_kept() {
    let mut option_sets = vec!["cluster_size=4K", "extended_l2=on"];
    if keeps_zero_writes() {
        option_sets.push("cluster_size=64K");
    }
    for options in option_sets {
        for base in BASES {
            let requests = [Nothing, Data, Data, Zeros, ZeroWrite, Unmap, Discard];
            nothing_is_lost(options, base, &requests);
        }
    }
}
