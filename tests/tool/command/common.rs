//! What the tests share: a temporary directory, and the tool run in it.
#![allow(dead_code)] // no test binary uses everything

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A temporary directory in which commands run; removed when it is dropped.
pub struct Dir(TempDir);

impl Dir {
    pub fn new() -> Self {
        Dir(TempDir::new().expect("a temporary directory"))
    }

    /// Keeps the directory when it is dropped.
    pub fn keep(&mut self) {
        self.0.disable_cleanup(true);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Creates a file that is a hole of `length` bytes.
    pub fn sparse(&self, name: &str, length: u64) {
        let file = fs::File::create(self.path(name)).expect("create");
        file.set_len(length).expect("set length");
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("write");
    }

    pub fn mkdir(&self, name: &str) {
        fs::create_dir(self.path(name)).expect("mkdir");
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("remove");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("read")
    }

    /// Returns the names of all files, hidden ones too, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .expect("list")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .into_string()
                    .expect("name")
            })
            .collect();
        names.sort();
        names
    }

    /// Returns how many files are left in the directory `tmp`.
    pub fn left(&self) -> usize {
        fs::read_dir(self.path("tmp")).expect("list").count()
    }

    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path());
        command
    }

    /// Runs the tool with the words of `arguments`.
    pub fn tool(&self, arguments: &str) -> Run {
        let arguments = arguments.split_whitespace();
        Run::of(self.command(tool()).args(arguments))
    }

    /// Runs a shell script in which `$0` is the tool.
    pub fn shell(&self, script: &str) -> Run {
        Run::of(self.command("sh").args(["-c", script]).arg(tool()))
    }

    /// Sets an L1 entry of a fresh image, so that the image counts as one with data.
    pub fn give_data(&self, name: &str) {
        let mut bytes = self.read(name);
        *bytes.last_mut().expect("an L1 table") = 1;
        self.write(name, &bytes);
    }
}

/// Returns the path of the tool: Cargo gives an absolute one, Bazel one in the runfiles.
pub fn tool() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_qcow2-overlay"));
    std::path::absolute(path).expect("the path of the tool")
}

/// What a command did.
#[derive(Debug)]
pub struct Run {
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output();
        output.expect("the command starts").into()
    }

    /// Checks that the command succeeded, and returns its standard output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, Some(0), "{}", self.stderr);
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Checks that the tool failed with `status` and printed one line, `message`.
    #[track_caller]
    pub fn fails(self, status: i32, message: &str) {
        assert_eq!(self.stderr, format!("qcow2-overlay: {message}\n"));
        assert_eq!(self.status, Some(status));
        assert!(self.stdout.is_empty(), "printed to standard output");
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Run {
            status: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }
}

/// Returns a shell command that sets the bit by which QEMU marks the image `disk` as corrupt.
pub fn mark_corrupt(disk: &str) -> String {
    format!("printf '\\002' | dd of={disk} bs=1 seek=79 conv=notrunc 2>/dev/null")
}

/// Says that this machine or user cannot have what a check needs. With QCOW2_NO_SKIP, which
/// `.ci/run` sets where all of it can be had, that is a failure.
#[track_caller]
pub fn skip(why: &str) {
    assert!(std::env::var_os("QCOW2_NO_SKIP").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

/// Returns a base, `node.img`, an overlay of it, `node.qcow2`, and an empty directory `tmp`.
pub fn overlay() -> Dir {
    let dir = Dir::new();
    dir.sparse("node.img", 1 << 20);
    dir.tool("create -q -b node.img node.qcow2 1G").ok();
    dir.mkdir("tmp");
    dir
}

/// Checks that `create` with `arguments` fails with `message` and leaves no file.
#[track_caller]
pub fn create_fails(arguments: &str, status: i32, message: &str) {
    let dir = Dir::new();
    dir.tool(&format!("create {arguments}"))
        .fails(status, message);
    assert!(dir.names().is_empty(), "{:?}", dir.names());
}

/// Returns the SHA-256 of `bytes` in hexadecimal, computed by `sha256sum`.
pub fn sha256(bytes: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum starts");
    let mut stdin = child.stdin.take().expect("its standard input");
    stdin.write_all(bytes).expect("write");
    drop(stdin);
    let output = child.wait_with_output().expect("its output");
    String::from_utf8_lossy(&output.stdout[..64]).into_owned()
}
