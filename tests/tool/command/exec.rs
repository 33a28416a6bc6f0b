//! `exec`: fresh disks for a command, and nothing else changes for it; signals.rs tests signals.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use qcow2_overlay::{chain, Format};

use crate::common::{overlay, tool, Dir, Run};

/// Returns the tool as run by hand, even if Bazel runs these tests.
pub fn by_hand(dir: &Dir, arguments: &[&str]) -> Command {
    started_by(dir, &[tool().to_str().expect("UTF-8")], arguments)
}

/// Returns the tool as run by hand by `starter`, which names it last.
pub fn started_by(dir: &Dir, starter: &[&str], arguments: &[&str]) -> Command {
    let mut command = dir.command(starter[0]);
    command.args(&starter[1..]);
    for variable in ["TEST_TMPDIR", "TEST_UNDECLARED_OUTPUTS_DIR"] {
        command.env_remove(variable);
    }
    command.env("TMPDIR", dir.path("tmp"));
    command.args(arguments);
    command
}

/// Returns the tool as run by `bazel test`.
pub fn in_bazel(dir: &Dir, arguments: &[&str]) -> Command {
    let mut command = by_hand(dir, arguments);
    command.env("TEST_TMPDIR", dir.path("tmp"));
    command
}

/// Returns the arguments that run a shell script with the disk `A`.
pub fn shell(script: &str) -> [&str; 7] {
    ["exec", "--disk", "A=node.qcow2", "--", "sh", "-c", script]
}

/// Returns the value for `-blockdev` of the disk at `path`, an overlay of the raw image `base`.
pub fn blockdev(name: &str, path: &str, base: &Path) -> serde_json::Value {
    serde_json::json!({
        "driver": "qcow2",
        "node-name": name,
        "file": {"driver": "file", "filename": path},
        "cache": {"no-flush": true},
        "discard": "unmap",
        "backing": {
            "driver": "raw",
            "read-only": true,
            "file": {"driver": "file", "filename": base, "read-only": true},
        },
    })
}

#[test]
fn the_command_finds_its_disks_in_its_environment() {
    let dir = overlay();
    let script = "echo $A; echo $B; cp $A copy.qcow2; printf %s \"$B_BLOCKDEV\" > blockdev";
    let mut arguments = shell(script).to_vec();
    arguments.splice(3..3, ["--disk", "B=node.qcow2"]);
    let said = Run::of(&mut by_hand(&dir, &arguments)).ok();
    let [a, b] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    assert!(a.starts_with('/') && a.ends_with("/A.qcow2"), "{a}");
    assert_eq!(b, a.replace("/A.qcow2", "/B.qcow2"));

    let base = fs::canonicalize(dir.path("node.img")).expect("a path");
    let images = chain(&dir.path("copy.qcow2"), None).expect("a chain");
    assert_eq!(images[0].virtual_size, 1 << 30);
    assert_eq!(images[1].path, base);

    let value: serde_json::Value =
        serde_json::from_slice(&dir.read("blockdev")).expect("one JSON value");
    assert_eq!(value, blockdev("B", b, &base));
}

#[test]
fn a_blank_disk_has_no_base() {
    let dir = overlay();
    dir.tool("create -q blank.qcow2 1G").ok();
    let script = ["--", "sh", "-c", "echo $A_BLOCKDEV"];
    let arguments = [&["exec", "--disk", "A=blank.qcow2"], &script[..]].concat();
    let said = Run::of(&mut by_hand(&dir, &arguments)).ok();
    assert!(said.starts_with("{\"backing\":null,"), "{said}");
    // Version 2 cannot discard.
    dir.tool("create -q --force -o compat=0.10 blank.qcow2 1G")
        .ok();
    let said = Run::of(&mut by_hand(&dir, &arguments)).ok();
    assert!(said.contains("no-flush"), "{said}");
    assert!(!said.contains("unmap"), "{said}");
}

#[test]
fn the_command_finds_the_tool() {
    let dir = overlay();
    // In the PATH and under another name, too.
    dir.mkdir("bin");
    std::os::unix::fs::symlink(tool(), dir.path("bin/tool")).expect("symlink");
    let real = fs::canonicalize(tool()).expect("a path");
    for name in ["tool", "bin/tool"] {
        let arguments = shell("echo $QCOW2_OVERLAY");
        let mut command = started_by(&dir, &["env", name], &arguments);
        command.env("QCOW2_OVERLAY", "/another");
        let path = std::env::var("PATH").expect("PATH");
        command.env("PATH", format!("{}:{path}", dir.path("bin").display()));
        assert_eq!(Run::of(&mut command).ok(), format!("{}\n", real.display()));
    }
    // A disk like a fresh one, and one that is backed by what has been written.
    let script = "$QCOW2_OVERLAY clone $A again.qcow2 && cmp $A again.qcow2 && cp $A copy.qcow2";
    Run::of(&mut in_bazel(&dir, &shell(script))).ok();
    let images = chain(&dir.path("again.qcow2"), None).expect("a chain");
    assert_eq!(images.len(), 2);
}

#[test]
fn streams_arguments_directory_and_status_pass_through() {
    let dir = overlay();
    let script = "cat; echo \"$0 $1 $#\"; echo oops >&2; pwd; exit 42";
    let mut arguments = shell(script).to_vec();
    arguments.extend(["arg zero", "one  and 'more'", "--disk", "--", ""]);
    for bazel in [false, true] {
        let mut command = if bazel {
            in_bazel(&dir, &arguments)
        } else {
            by_hand(&dir, &arguments)
        };
        dir.write("input", b"from stdin\n");
        let input = fs::File::open(dir.path("input")).expect("open");
        let output = command.stdin(input).output().expect("it starts");
        let here = fs::canonicalize(dir.path("")).expect("a path");
        let expected = format!(
            "from stdin\narg zero one  and 'more' 4\n{}\n",
            here.display()
        );
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        assert_eq!(output.stderr, b"oops\n");
        assert_eq!(output.status.code(), Some(42));
    }
}

#[test]
fn in_bazel_the_tool_becomes_the_command() {
    let dir = overlay();
    for bazel in [true, false] {
        let mut command = if bazel {
            in_bazel(&dir, &shell("echo $$"))
        } else {
            by_hand(&dir, &shell("echo $$"))
        };
        let child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let pid = child.id();
        let output = child.wait_with_output().expect("its output");
        let is_same = output.stdout == format!("{pid}\n").as_bytes();
        assert_eq!(is_same, bazel);
    }
}

#[test]
fn the_directory_is_removed_except_in_bazel() {
    let dir = overlay();
    Run::of(&mut by_hand(&dir, &shell("touch $(dirname $A)/more"))).ok();
    assert_eq!(dir.left(), 0);
    // Two commands of one test have a directory each.
    for _ in 0..2 {
        Run::of(&mut in_bazel(&dir, &shell("test -w $A"))).ok();
    }
    assert_eq!(dir.left(), 2);
}

#[test]
fn a_disk_is_private() {
    let dir = overlay();
    let before = [dir.read("node.img"), dir.read("node.qcow2")];
    // Each command finds a fresh disk, whatever the others write to theirs.
    let script = "n=$(cksum < $A); echo junk > $A; sleep 0.2; cat $A; echo $n";
    let start = || {
        let mut command = by_hand(&dir, &shell(script));
        command.stdout(Stdio::piped()).spawn().expect("it starts")
    };
    let children: Vec<Child> = (0..4).map(|_| start()).collect();
    let outputs: Vec<Vec<u8>> = children
        .into_iter()
        .map(|child| child.wait_with_output().expect("its output").stdout)
        .collect();
    assert!(outputs[0].starts_with(b"junk\n"));
    assert!(outputs.iter().all(|output| *output == outputs[0]));
    assert!([dir.read("node.img"), dir.read("node.qcow2")] == before);
    assert_eq!(dir.left(), 0);
}

#[test]
fn an_overlay_with_data_is_not_written_to() {
    let dir = overlay();
    dir.give_data("node.qcow2");
    let before = dir.read("node.qcow2");
    let script = "cp $A copy.qcow2; : > $A";
    Run::of(&mut by_hand(&dir, &shell(script))).ok();
    assert!(dir.read("node.qcow2") == before);
    let images = chain(&dir.path("copy.qcow2"), None).expect("a chain");
    let formats: Vec<Format> = images.iter().map(|image| image.format).collect();
    assert_eq!(formats, [Format::Qcow2, Format::Qcow2, Format::Raw]);
}

/// Checks that `exec` refuses `disks`, and does not run the command.
#[track_caller]
fn refused(dir: &Dir, disks: &[&str], status: i32, message: &str) {
    let mut arguments = vec!["exec"];
    arguments.extend(disks.iter().flat_map(|disk| ["--disk", disk]));
    arguments.extend(["--", "touch", "it-ran"]);
    for mut command in [by_hand(dir, &arguments), in_bazel(dir, &arguments)] {
        Run::of(&mut command).fails(status, message);
        assert_eq!(dir.left(), 0);
        assert!(!dir.path("it-ran").exists());
    }
}

#[test]
fn refuses_an_invalid_disk_name() {
    let dir = overlay();
    let letters = "give a letter, then up to 30 letters, digits and _";
    for name in ["", "1A", "_A", "A-B", "A B", "\u{e4}", &"A".repeat(32)] {
        let message = format!("disk name {name:?}: {letters}");
        refused(&dir, &[&format!("{name}=node.qcow2")], 2, &message);
    }
    for name in [
        "PATH",
        "HOME",
        "TMPDIR",
        "TEST_TMPDIR",
        "RUNFILES_DIR",
        "QCOW2_OVERLAY",
    ] {
        let message =
            format!("disk name {name:?}: this variable already has a meaning; choose another name");
        refused(&dir, &[&format!("{name}=node.qcow2")], 2, &message);
    }
    let twice = "disk name \"A\": it is given twice";
    refused(&dir, &["A=node.qcow2", "A=other"], 2, twice);
    let clash =
        "disk name \"A_BLOCKDEV\": disk \"A\" has a variable of this name; choose another name";
    for disks in [["A=x", "A_BLOCKDEV=y"], ["A_BLOCKDEV=y", "A=x"]] {
        refused(&dir, &disks, 2, clash);
    }
    let form = "--disk \"node.qcow2\": write it as NAME=OVERLAY";
    refused(&dir, &["node.qcow2"], 2, form);
    // The longest name that is allowed.
    let name = "A".repeat(31);
    let disk = format!("{name}=node.qcow2");
    Run::of(&mut by_hand(&dir, &["exec", "--disk", &disk, "--", "true"])).ok();
}

#[test]
fn the_rules_refuse_the_same_names() {
    let rules = fs::read_to_string("rules/private/fixtures.bzl").expect("the rules");
    let list = |name: &str| -> Vec<String> {
        let lines = rules.lines().map(|line| line.split_once(" = "));
        let list = lines.flatten().find(|(of, _)| *of == name);
        serde_json::from_str(list.expect("a list").1).expect("strings")
    };
    let [names, starts] = ["_RESERVED", "_RESERVED_STARTS"].map(list);
    let said = Dir::new().tool("exec --help").ok();
    let said: Vec<&str> = said.split_whitespace().collect();
    let expected = format!(
        "These names are refused: {}, and those that start with {}.",
        names.join(", "),
        starts.join(", ")
    );
    assert!(said.join(" ").ends_with(&expected), "not {expected}");
}

#[test]
fn an_overlay_that_cannot_be_cloned_leaves_nothing() {
    let dir = overlay();
    let gone = "No such file or directory (os error 2)";
    let missing = format!("disk B: \"gone.qcow2\": {gone}");
    refused(&dir, &["A=node.qcow2", "B=gone.qcow2"], 1, &missing);
    dir.write("text", b"not an image");
    let no_image = "disk B: \"text\": it is not a qcow2 image: create an overlay that is backed \
                    by it, and give that (qcow2-overlay create -b; in a BUILD file: qcow2_overlay)";
    refused(&dir, &["A=node.qcow2", "B=text"], 1, no_image);
    dir.write("cut", &dir.read("node.qcow2")[..100_000]);
    let cut = "disk A: \"cut\": truncated qcow2 image: \
               the L1 table ends at byte 196624, the file at byte 100000";
    refused(&dir, &["A=cut"], 1, cut);
    dir.remove("node.img");
    let no_base = format!("disk A: \"node.qcow2\": its backing file \"node.img\": {gone}");
    refused(&dir, &["A=node.qcow2"], 1, &no_base);
}

#[test]
fn a_command_that_cannot_be_run_is_an_error() {
    let dir = overlay();
    for bazel in [false, true] {
        for (name, status, problem) in [
            ("gone", 127, "No such file or directory (os error 2)"),
            ("./node.img", 126, "Permission denied (os error 13)"),
        ] {
            let arguments = ["exec", "--disk", "A=node.qcow2", "--", name];
            let mut command = if bazel {
                in_bazel(&dir, &arguments)
            } else {
                by_hand(&dir, &arguments)
            };
            Run::of(&mut command).fails(status, &format!("cannot run {name:?}: {problem}"));
            assert_eq!(dir.left(), 0);
        }
    }
}

#[test]
fn a_missing_test_tmpdir_is_an_error() {
    let dir = overlay();
    let mut command = in_bazel(&dir, &shell("true"));
    let run = Run::of(command.env("TEST_TMPDIR", dir.path("gone")));
    let start = "qcow2-overlay: cannot make a directory for the disks: \
                 No such file or directory (os error 2) at path ";
    assert!(run.stderr.starts_with(start), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1);
    assert_eq!(run.status, Some(1));
}

#[test]
fn requires_a_disk_and_a_command() {
    let dir = overlay();
    dir.tool("exec -- true").fails(
        2,
        "the following required arguments were not provided: --disk <NAME=OVERLAY>; \
         --help shows the usage",
    );
    dir.tool("exec --disk A=node.qcow2").fails(
        2,
        "the following required arguments were not provided: <COMMAND>...; \
         --help shows the usage",
    );
}

#[test]
fn refuses_a_base_whose_name_is_not_utf8() {
    use std::os::unix::ffi::OsStrExt;

    let dir = overlay();
    let name = std::ffi::OsStr::from_bytes(b"\xff.img");
    fs::rename(dir.path("node.img"), dir.path("").join(name)).expect("rename");
    let mut create = dir.command(tool());
    create.args(["create", "-q", "--force", "node.qcow2", "-b"]);
    Run::of(create.arg(name)).ok();
    let path = fs::canonicalize(dir.path("").join(name)).expect("a path");
    let problem = format!("{path:?} is not UTF-8, which JSON requires; rename it");
    let message = format!("disk A: \"node.qcow2\": {problem}");
    refused(&dir, &["A=node.qcow2"], 1, &message);
}
