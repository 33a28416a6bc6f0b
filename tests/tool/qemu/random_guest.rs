//! Chains of images that QEMU has written, snapshotted, resized, rebased and committed at random.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use fastrand::Rng;

use crate::common::{Dir, Run};

/// Larger disks, in bytes, are not read or written as a whole.
pub const SMALL: u64 = 32 << 20;
/// A file of random bytes, which do not compress.
const NOISE: &str = "noise";

/// How often each kind of thing was done.
pub type Counts = BTreeMap<String, u32>;

/// Images, and the commands that made them.
pub struct Guest {
    pub dir: Dir,
    /// The base first, with its format.
    pub images: Vec<(String, &'static str)>,
    pub story: Vec<String>,
    /// The commands that succeeded, by their kind.
    pub succeeded: Counts,
}

/// When a check fails, keeps the images, and prints the commands that made them. These need not
/// make the same images again: QEMU compresses several clusters at a time, and the one that is
/// done first comes first.
impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dir.keep();
            println!("In {:?}:\n{}", self.dir.path(""), self.story.join("\n"));
        }
    }
}

/// Returns a random element of `choices`.
pub fn choose<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

/// Returns random options of a new image, and its cluster size.
pub fn options(rng: &mut Rng) -> (String, u64) {
    let is_v2 = rng.u32(..4) == 0;
    let bits = match rng.u32(..4) {
        0 => 16,
        _ => rng.u32(9..=21),
    };
    let mut options = vec![format!("cluster_size={}", 1 << bits)];
    if is_v2 {
        options.push("compat=0.10".to_owned());
    } else {
        if rng.bool() {
            options.push(format!("refcount_bits={}", 1 << rng.u32(0..=6)));
        }
        if rng.bool() && bits >= 14 {
            options.push("extended_l2=on".to_owned());
        }
        if rng.u32(..4) == 0 {
            options.push("lazy_refcounts=on".to_owned());
        }
    }
    (options.join(","), 1 << bits)
}

/// Returns a random size of up to 16 MiB, in bytes: a multiple of 512.
fn size(rng: &mut Rng) -> u64 {
    match rng.u32(..16) {
        0 => rng.u64(1..=200) * 512,
        2 => rng.u64(1..=16) << 20,
        _ => rng.u64(1..=6 << 11) * 512,
    }
}

/// Returns from one to `most` random commands for qemu-io on a disk of `size` bytes.
fn writes(rng: &mut Rng, size: u64, cluster_size: Option<u64>, most: usize) -> Vec<String> {
    let mut commands = Vec::new();
    // Near each other, so that they overlap.
    let middle = rng.u64(..size);
    for _ in 0..rng.usize(1..=most) {
        let near = middle.saturating_sub(1 << 20) + rng.u64(..2 << 20);
        let offset = match rng.u32(..4) {
            0 => rng.u64(..size),
            _ => near.min(size - 1),
        };
        let unit = choose(rng, &[1, 512, 4096, cluster_size.unwrap_or(65536)]);
        let offset = offset / unit * unit;
        let most = 1 << rng.u32(0..21);
        let length = rng.u64(1..=most).next_multiple_of(unit).min(size - offset);
        let place = format!("{offset} {length}");
        let pattern = rng.u8(..);
        commands.push(match (rng.u32(..12), cluster_size) {
            (0 | 1, _) => format!("write -q -z {place}"),
            (2, _) => format!("write -q -z -u {place}"),
            (3 | 4, _) => format!("discard -q {place}"),
            (5, _) => format!("write -q -P 0 {place}"),
            // QEMU compresses only whole clusters that are not allocated yet.
            (6..=8, Some(cluster)) => {
                let offset = offset / cluster * cluster;
                let length = (rng.u64(1..=4) * cluster).min(size - offset);
                let what = match rng.bool() {
                    true => format!("-s {NOISE}"),
                    false => format!("-P {pattern}"),
                };
                format!("write -q -c {what} {offset} {length}")
            }
            (9, _) => format!("write -q -s {NOISE} {place}"),
            _ => format!("write -q -P {pattern} {place}"),
        });
    }
    commands
}

impl Guest {
    /// Creates a random chain.
    pub fn new(rng: &mut Rng) -> Self {
        let mut guest = Guest {
            dir: Dir::new(),
            images: Vec::new(),
            story: Vec::new(),
            succeeded: Counts::new(),
        };
        let noise: Vec<u8> = (0..10_007).map(|_| rng.u8(..)).collect();
        guest.dir.write(NOISE, &noise);
        for depth in 0..rng.usize(1..=3) {
            guest.add_image(rng, depth);
        }
        guest
    }

    /// Returns the topmost image and its format.
    pub fn top(&self) -> (String, &'static str) {
        self.images[self.images.len() - 1].clone()
    }

    pub fn qemu_img(&mut self, arguments: &str) -> Run {
        self.story.push(format!("qemu-img {arguments}"));
        let run = self.dir.try_qemu_img(arguments);
        let words = 1 + usize::from(arguments.starts_with("snapshot"));
        let kind: Vec<&str> = arguments.split(' ').take(words).collect();
        self.count(&kind.join(" "), &run);
        run
    }

    fn count(&mut self, kind: &str, run: &Run) {
        assert!(run.status.is_some(), "{kind}: {}", run.stderr);
        let count = self.succeeded.entry(kind.to_owned()).or_default();
        *count += u32::from(run.status == Some(0));
    }

    /// Runs commands of qemu-io. QEMU may refuse some.
    pub fn qemu_io(&mut self, name: &str, format: &str, discard: &str, commands: &[String]) {
        let mut run = self.dir.command("qemu-io");
        // The images need not survive a crash.
        run.args(["-t", "unsafe", "-f", format, "-d", discard]);
        for command in commands {
            run.args(["-c", command]);
        }
        let commands = commands.join("' -c '");
        let told = format!("qemu-io -f {format} -d {discard} -c '{commands}' {name}");
        self.story.push(told);
        let run = Run::of(run.arg(name));
        assert!(matches!(run.status, Some(0 | 1)), "{}", run.stderr);
        self.count("qemu-io", &run);
    }

    fn virtual_size(&self, name: &str, format: &str) -> u64 {
        let format = format.parse().expect("raw or qcow2");
        let image = qcow2_overlay::ImageInfo::read(&self.dir.path(name), Some(format));
        image.expect("an image").virtual_size
    }

    fn write(&mut self, rng: &mut Rng, name: &str, format: &'static str, most: usize) {
        let size = self.virtual_size(name, format);
        let image = qcow2_overlay::ImageInfo::read(&self.dir.path(name), None);
        let header = image.expect("an image").header;
        let commands = writes(rng, size, header.map(|h| h.cluster_size()), most);
        let discard = choose(rng, &["unmap", "ignore"]);
        self.qemu_io(name, format, discard, &commands);
    }

    /// Writes to the image `name`, and sometimes resizes it.
    pub fn change(&mut self, rng: &mut Rng, name: &str, format: &'static str) {
        self.write(rng, name, format, 6);
        if rng.u32(..3) == 0 {
            let size = self.virtual_size(name, format);
            let new = if rng.bool() {
                size + rng.u64(1..=4096) * 512
            } else {
                rng.u64(1..=size / 512) * 512
            };
            self.qemu_img(&format!("resize -q -f {format} --shrink {name} {new}"));
        }
    }

    fn add_image(&mut self, rng: &mut Rng, depth: usize) {
        let name = format!("image{depth}");
        let base = self.images.last().cloned();
        if base.is_none() && rng.bool() {
            self.add_raw(rng, name);
            return;
        }
        let (mut options, cluster_size) = options(rng);
        if !options.contains("compat=0.10") && rng.u32(..3) == 0 {
            options += ",compression_type=zstd";
        }
        let mut backing = String::new();
        let mut size = match rng.u32(..16) {
            0 => rng.u64(1..=1 << 30) * 512,
            _ => size(rng),
        };
        match base {
            Some((base, format)) => {
                backing = format!("-b {base} -F {format}");
                if rng.u32(..3) == 0 {
                    size = self.virtual_size(&base, format);
                }
            }
            None if size < 64 << 20 && rng.u32(..4) == 0 => {
                let how = choose(rng, &["metadata", "falloc", "full"]);
                options += &format!(",preallocation={how}");
            }
            None => {}
        }
        // QEMU takes minutes to shrink a disk of very many clusters.
        size = size.min(cluster_size << 16);
        self.qemu_img(&format!(
            "create -q -f qcow2 -o {options} {backing} {name} {size}"
        ))
        .ok();
        self.images.push((name.clone(), "qcow2"));
        self.write(rng, &name, "qcow2", 12);
        for _ in 0..rng.u32(..3) {
            self.live(rng, &name);
        }
        // An overlay without data, smaller than its base, is refused: see `check_consistency`.
        let command = "write -q -P 1 0 1".to_owned();
        self.qemu_io(&name, "qcow2", "ignore", &[command]);
    }

    fn add_raw(&mut self, rng: &mut Rng, name: String) {
        let (path, size) = (self.dir.path(&name), size(rng));
        let size = match rng.u32(..4) {
            0 => size - rng.u64(..512),
            _ => size,
        };
        let file = File::create(path).expect("create");
        file.set_len(size).expect("set length");
        let blocks = size.min(4 << 20) / 4096;
        for _ in 0..rng.u64(..16).min(blocks) {
            let bytes = vec![rng.u8(..); 4096 * rng.usize(1..4)];
            file.write_all_at(&bytes, rng.u64(..blocks) * 4096)
                .expect("write");
        }
        file.set_len(size).expect("set length");
        self.images.push((name.clone(), "raw"));
        if rng.bool() {
            self.write(rng, &name, "raw", 6);
        }
    }

    /// Does something at random to the topmost image, `name`.
    fn live(&mut self, rng: &mut Rng, name: &str) {
        let size = self.virtual_size(name, "qcow2");
        match rng.u32(..8) {
            0 | 1 => {
                // QEMU may refuse to take or apply it if the refcounts are too narrow.
                self.qemu_img(&format!("snapshot -c one {name}"));
                self.write(rng, name, "qcow2", 6);
                if rng.bool() {
                    self.qemu_img(&format!("snapshot -a one {name}"));
                    self.write(rng, name, "qcow2", 3);
                }
                if rng.bool() {
                    self.qemu_img(&format!("snapshot -d one {name}"));
                }
            }
            2 => {
                let new = size + rng.u64(1..=4096) * 512;
                self.qemu_img(&format!("resize -q -f qcow2 {name} {new}"));
                self.write(rng, name, "qcow2", 4);
            }
            3 => {
                let new = rng.u64(1..=size / 512) * 512;
                // QEMU refuses this for version 2 with snapshots.
                self.qemu_img(&format!("resize -q -f qcow2 --shrink {name} {new}"));
                self.write(rng, name, "qcow2", 4);
            }
            4 if self.images.len() > 1 && size < SMALL => {
                let (base, format) = self.images[self.images.len() - 2].clone();
                let other = format!("{base}-other");
                fs::copy(self.dir.path(&base), self.dir.path(&other)).expect("copy");
                self.write(rng, &other, format, 4);
                // QEMU does not open an image that it has marked as corrupt; the base then stays.
                let run = self.qemu_img(&format!("rebase -F {format} -b {other} {name}"));
                if run.status == Some(0) {
                    let place = self.images.len() - 2;
                    self.images[place].0 = other;
                }
            }
            5 if self.images.len() > 1 && size < SMALL => {
                self.qemu_img(&format!("commit -q {name}"));
                self.write(rng, name, "qcow2", 4);
            }
            _ => self.write(rng, name, "qcow2", 12),
        }
    }
}
