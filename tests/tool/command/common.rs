//! What the tests of the tool share: a directory of their own and the tool in it.
#![allow(dead_code)] // not every test binary needs everything

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A fresh directory, removed at the end, in which commands run.
pub struct Dir(TempDir);

impl Dir {
    pub fn new() -> Self {
        Dir(TempDir::new().expect("a temporary directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a file of `length` bytes, all of them holes.
    pub fn sparse(&self, name: &str, length: u64) {
        let file = fs::File::create(self.path(name)).expect("create");
        file.set_len(length).expect("set length");
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("write");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("read")
    }

    /// The names of all files in the directory, sorted, hidden ones too.
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
}

/// The tool: Cargo gives an absolute path, Bazel one in the runfiles.
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
        let Output {
            status,
            stdout,
            stderr,
        } = output.expect("the command starts");
        let stderr = String::from_utf8(stderr).expect("messages are UTF-8");
        Run {
            status: status.code(),
            stdout,
            stderr,
        }
    }

    /// Checks that the command succeeded; gives its standard output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, Some(0), "{}", self.stderr);
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Checks that the tool failed with `status` and exactly one line, `message`.
    #[track_caller]
    pub fn fails(self, status: i32, message: &str) {
        assert_eq!(self.stderr, format!("qcow2-overlay: {message}\n"));
        assert_eq!(self.status, Some(status));
        assert!(self.stdout.is_empty(), "nothing on standard output");
    }
}

/// Runs `create` with `arguments`, which must fail with `message` and leave no file.
#[track_caller]
pub fn create_fails(arguments: &str, status: i32, message: &str) {
    let dir = Dir::new();
    dir.tool(&format!("create {arguments}"))
        .fails(status, message);
    assert!(dir.names().is_empty(), "{:?}", dir.names());
}

/// SHA-256 of `bytes` in hexadecimal, by coreutils.
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
