//! Compares the cost of `create` with that of `qemu-img create`: prints tables, checks nothing.
//!
//! ```sh
//! cargo bench --bench create            # 200 runs of each
//! cargo bench --bench create -- 1000    # more, for a busy machine
//! ```
//!
//! The counts come from strace and valgrind. If one is not installed, its column has `-`.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const RUNS: usize = 200;

/// No round of a case begins after this time: `qemu-img` takes seconds for some.
const LIMIT: Duration = Duration::from_secs(20);

/// Label, size and `-o` of each case. All are overlays of a raw base of 1 MiB, which is not
/// opened (`-u`), as when the rules run the command.
const CASES: [(&str, &str, &str); 5] = [
    ("1 GiB", "1G", ""),
    ("1 TiB", "1T", ""),
    ("1 PiB", "1P", ""),
    ("64 GiB, clusters of 512", "64G", "cluster_size=512"),
    ("64 GiB, clusters of 2M", "64G", "cluster_size=2M"),
];

/// Disk sizes for which the number of our instructions should hardly change.
const SIZES: [&str; 8] = ["1M", "32M", "1G", "32G", "1T", "32T", "1P", "2P"];

fn main() {
    // `cargo bench` passes --bench; `cargo test --all-targets` does not.
    if !env::args().any(|argument| argument == "--bench") {
        println!("to run the benchmark: cargo bench --bench create");
        return;
    }
    let runs = env::args().find_map(|argument| argument.parse().ok());
    let bench = Bench::new().expect("a directory to work in");
    bench.print_cases(runs.unwrap_or(RUNS).max(1));
    bench.print_sizes();
}

/// The processes that are run in turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Ours,
    /// [`exit_program`]: the cost of starting any process on this machine and waiting for it.
    Exit,
    /// `true`: a well-known program that does nothing, with a C library.
    True,
    QemuImg,
}

const PROGRAMS: [Program; 4] = [
    Program::Ours,
    Program::Exit,
    Program::True,
    Program::QemuImg,
];

struct Bench {
    directory: TempDir,
    ours: PathBuf,
}

impl Bench {
    fn new() -> io::Result<Self> {
        // The path is relative to the directory in which `bazel run` starts.
        let ours = std::path::absolute(env!("CARGO_BIN_EXE_qcow2-overlay"))?;
        let directory = TempDir::new()?;
        let base = fs::File::create(directory.path().join("node.img"))?;
        base.set_len(1 << 20)?;
        let bench = Bench { directory, ours };
        if let Some(bytes) = exit_program() {
            fs::write(bench.path("exit"), bytes)?;
            fs::set_permissions(bench.path("exit"), PermissionsExt::from_mode(0o755))?;
        }
        Ok(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command line that makes `disk.qcow2`.
    fn words(&self, program: Program, size: &str, options: &str) -> Vec<String> {
        let program = match program {
            Program::Ours => &self.ours,
            Program::Exit => return vec![self.path("exit").display().to_string()],
            Program::True => return vec![in_path("true")],
            Program::QemuImg => Path::new("qemu-img"),
        };
        let mut words = vec![in_path(&program.display().to_string())];
        words.extend(
            "create -q -f qcow2 -u -b node.img -F raw"
                .split(' ')
                .map(String::from),
        );
        if !options.is_empty() {
            words.extend(["-o".to_owned(), options.to_owned()]);
        }
        words.extend(["disk.qcow2".to_owned(), size.to_owned()]);
        words
    }

    /// Removes the disk and runs a command. Returns the time from start to end, or `None` if
    /// the command is not installed or fails.
    fn run(&self, words: &[String]) -> Option<Duration> {
        let _ = fs::remove_file(self.path("disk.qcow2"));
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(self.directory.path())
            // Cargo sets it, and the dynamic linker would search there first.
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let start = Instant::now();
        let status = command.status().ok()?;
        status.success().then(|| start.elapsed())
    }

    /// The sorted times of each program. The programs run in turn, every second round in the
    /// opposite order, so that what disturbs the machine disturbs all.
    fn times(&self, commands: &[Vec<String>], runs: usize) -> Vec<Vec<Duration>> {
        let mut times = vec![Vec::new(); commands.len()];
        // The first run finds cold caches.
        let mut order: Vec<usize> = (0..commands.len())
            .filter(|&index| self.run(&commands[index]).is_some())
            .collect();
        let start = Instant::now();
        for _ in 0..runs {
            if start.elapsed() > LIMIT {
                break;
            }
            for &index in &order {
                times[index].extend(self.run(&commands[index]));
            }
            order.reverse();
        }
        times.iter_mut().for_each(|times| times.sort());
        times
    }

    fn system_calls(&self, words: &[String]) -> Option<u64> {
        let mut traced = ["strace", "-f", "-o", "trace"].map(String::from).to_vec();
        traced.extend_from_slice(words);
        self.run(&traced)?;
        let trace = fs::read_to_string(self.path("trace")).ok()?;
        // A call of one of several threads can take a second line.
        let is_call = |line: &&str| line.contains('(') && !line.contains(" resumed>");
        let count = trace.lines().filter(is_call).count();
        Some(count as u64)
    }

    fn instructions(&self, words: &[String]) -> Option<u64> {
        let valgrind = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--log-file=counts",
        ];
        let mut counted = valgrind.map(String::from).to_vec();
        counted.extend_from_slice(words);
        self.run(&counted)?;
        let counts = fs::read_to_string(self.path("counts")).ok()?;
        // ==1234== Collected : 412976
        let (_, count) = counts.split_once("Collected : ")?;
        count.lines().next()?.trim().parse().ok()
    }

    fn print_cases(&self, runs: usize) {
        println!(
            "Times from start to end of {runs} runs, or as many as fit in {LIMIT:?}; ratios of medians."
        );
        println!("exit: a static program with one system call; true: the one in PATH.\n");
        print!("{:23}  {:8}  {:>11}", "overlay of", "program", "median");
        print!("  {:>11}", "least");
        print!(
            "  {:>11}  {:>7}  {:>7}",
            "of qemu-img", "of exit", "of true"
        );
        println!(
            "  {:>12}  {:>13}  {:>10}",
            "system calls", "instructions", "on disk"
        );
        for (label, size, options) in CASES {
            let commands = PROGRAMS.map(|program| self.words(program, size, options));
            let times = self.times(&commands, runs);
            for (index, program) in PROGRAMS.into_iter().enumerate() {
                let label = if index == 0 { label } else { "" };
                print!("{label:23}  {:8}", program.name());
                print_times(program, &times);
                self.print_counts(&commands[index]);
            }
        }
    }

    fn print_counts(&self, words: &[String]) {
        self.run(words);
        let disk = fs::metadata(self.path("disk.qcow2")).ok();
        let on_disk = disk.map(|metadata| metadata.blocks() * 512);
        let system_calls = or_dash(self.system_calls(words).map(thousands));
        let instructions = or_dash(self.instructions(words).map(thousands));
        let on_disk = or_dash(on_disk.map(thousands));
        println!("  {system_calls:>12}  {instructions:>13}  {on_disk:>10}");
    }

    fn print_sizes(&self) {
        println!("\nOur instructions by the size of the disk, with clusters of 64 KiB:\n");
        let counts = SIZES.map(|size| self.instructions(&self.words(Program::Ours, size, "")));
        for (size, count) in SIZES.iter().zip(counts) {
            println!("{size:>4}  {:>12}", or_dash(count.map(thousands)));
        }
        let known = || counts.iter().flatten();
        if let (Some(&least), Some(&most)) = (known().min(), known().max()) {
            let more = 100.0 * (most - least) as f64 / least as f64;
            println!("The maximum is {more:.1} % more than the minimum.");
        }
    }
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Program::Ours => "ours",
            Program::Exit => "exit",
            Program::True => "true",
            Program::QemuImg => "qemu-img",
        }
    }
}

/// The smallest program that Linux can run: an ELF header, one segment, and `exit(0)`.
fn exit_program() -> Option<Vec<u8>> {
    const CODE: &[u8] = b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"; // mov eax, 60; xor edi, edi; syscall
    const HEADERS: u64 = 64 + 56;
    const ADDRESS: u64 = 0x40_0000;
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for field in [ADDRESS + HEADERS, 64, 0] {
        elf.extend(field.to_le_bytes()); // entry, program headers, no section headers
    }
    elf.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0"); // no flags; sizes and counts
    elf.extend(b"\x01\0\0\0\x05\0\0\0"); // one segment to load: read, execute
    let length = HEADERS + CODE.len() as u64;
    for field in [0, ADDRESS, ADDRESS, length, length, 0x1000] {
        elf.extend(field.to_le_bytes());
    }
    elf.extend(CODE);
    Some(elf)
}

/// Prints the median of `program`, its least time, and the ratios to the medians of the others.
fn print_times(program: Program, times: &[Vec<Duration>]) {
    let all = |program| {
        PROGRAMS
            .iter()
            .position(|&p| p == program)
            .map(|i| &times[i])
    };
    let median = |program| all(program).and_then(|times| times.get(times.len() / 2));
    let least = all(program).and_then(|times| times.first());
    for time in [median(program), least] {
        let time = time.map(|time| format!("{:.3} ms", 1e3 * time.as_secs_f64()));
        print!("  {:>11}", or_dash(time));
    }
    let ratio = |other| Some(median(program)?.as_secs_f64() / median(other)?.as_secs_f64());
    let ratio = |other| or_dash(ratio(other).map(|ratio| format!("{ratio:.2}")));
    print!("  {:>11}", ratio(Program::QemuImg));
    print!("  {:>7}  {:>7}", ratio(Program::Exit), ratio(Program::True));
}

/// The absolute path of a program, so that its times do not include the search.
fn in_path(name: &str) -> String {
    let directories = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&directories)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    found.map_or(name.to_owned(), |path| path.display().to_string())
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or("-".to_owned())
}

/// `1234567` as `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
