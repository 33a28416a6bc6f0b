//! The tool as the executable of a `qcow2_test`.

use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;
use std::process::Command;

use qcow2_overlay::chain;

use crate::common::{tool, Dir, Run};

/// Returns what `bazel build` leaves of a test `pkg/t` of an executable `pkg/t_bin` with an
/// overlay `vm/node.qcow2`: files in `bin`, and links to them in the runfiles.
fn built() -> Dir {
    let dir = Dir::new();
    for path in [
        "bin/pkg/t.runfiles/_main/pkg",
        "bin/pkg/t.runfiles/_main/vm",
        "bin/vm",
        "tmp",
    ] {
        fs::create_dir_all(dir.path(path)).expect("mkdir");
    }
    dir.sparse("bin/vm/node.img", 1 << 20);
    dir.tool("create -q -b node.img bin/vm/node.qcow2 1G").ok();
    let script = "#!/bin/sh\n\
        echo \"0=$0\"\n\
        for argument; do echo \"argument=$argument\"; done\n\
        echo \"RUNFILES_DIR=$RUNFILES_DIR\"\n\
        echo \"test=$QCOW2_OVERLAY_TEST\"\n\
        test -w \"$NODE1\" -a -w \"$NODE2\" -a \"$NODE1\" != \"$NODE2\" || exit 1\n\
        exit 7\n";
    dir.write("bin/pkg/t_bin", script.as_bytes());
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path("bin/pkg/t_bin"), executable).expect("chmod");
    symlink(tool(), dir.path("bin/pkg/t")).expect("symlink");
    for name in ["pkg/t_bin", "vm/node.img", "vm/node.qcow2"] {
        let link = dir.path(&format!("bin/pkg/t.runfiles/_main/{name}"));
        symlink(dir.path(&format!("bin/{name}")), link).expect("symlink");
    }
    dir
}

/// Returns the test, with two disks, without variables that name its runfiles.
fn test(dir: &Dir) -> Command {
    let mut command = dir.command(dir.path("bin/pkg/t"));
    for variable in [
        "RUNFILES_DIR",
        "RUNFILES_MANIFEST_FILE",
        "RUNFILES_MANIFEST_ONLY",
        "TEST_SRCDIR",
        "TEST_UNDECLARED_OUTPUTS_DIR",
    ] {
        command.env_remove(variable);
    }
    command.env("TEST_TMPDIR", dir.path("tmp"));
    command.env(
        "QCOW2_OVERLAY_TEST",
        r#"{"command": "_main/pkg/t_bin", "keep": "never", "keep_as": "overlay", "copies": {},
            "disks": {"NODE1": "_main/vm/node.qcow2", "NODE2": "_main/vm/node.qcow2"}}"#,
    );
    command
}

/// Checks that the test runs the executable at `path` with `arguments` and `runfiles`.
#[track_caller]
fn ran(dir: &Dir, command: &mut Command, path: &Path, arguments: &[&str], runfiles: &Path) {
    let run = Run::of(command.args(arguments));
    let arguments = arguments.iter().map(|a| format!("argument={a}\n"));
    let expected = format!(
        "0={}\n{}RUNFILES_DIR={}\ntest=\n",
        path.display(),
        arguments.collect::<String>(),
        runfiles.display()
    );
    assert_eq!(String::from_utf8_lossy(&run.stdout), expected);
    assert_eq!((run.status, &run.stderr[..]), (Some(7), ""));
    assert_eq!(dir.left(), 1);
}

#[test]
fn finds_the_runfiles_that_bazel_test_names() {
    for variable in ["RUNFILES_DIR", "TEST_SRCDIR"] {
        let dir = built();
        let runfiles = dir.path("bin/pkg/t.runfiles");
        let mut command = test(&dir);
        command.env("RUNFILES_DIR", "").env(variable, &runfiles);
        let path = runfiles.join("_main/pkg/t_bin");
        let arguments = ["--help", "with  space", ""];
        ran(&dir, &mut command, &path, &arguments, &runfiles);
    }
}

#[test]
fn finds_the_runfiles_of_a_sandbox_without_a_manifest() {
    // With --noenable_runfiles.
    let dir = built();
    let runfiles = dir.path("bin/pkg/t.runfiles");
    let mut command = test(&dir);
    command.env("RUNFILES_DIR", &runfiles);
    command.env("RUNFILES_MANIFEST_ONLY", "1");
    let path = runfiles.join("_main/pkg/t_bin");
    ran(&dir, &mut command, &path, &[], &runfiles);
}

#[test]
fn finds_the_runfiles_beside_the_executable() {
    let dir = built();
    let runfiles = dir.path("bin/pkg/t.runfiles");
    let path = runfiles.join("_main/pkg/t_bin");
    ran(&dir, &mut test(&dir), &path, &[], &runfiles);
}

#[test]
fn finds_files_through_a_manifest() {
    for variable in [true, false] {
        let dir = built();
        fs::remove_dir_all(dir.path("bin/pkg/t.runfiles")).expect("remove");
        let manifest = ["pkg/t_bin", "vm/node.qcow2"].map(|name| {
            let path = dir.path(&format!("bin/{name}"));
            format!("_main/{name} {}\n", path.display())
        });
        dir.write("bin/pkg/t.runfiles_manifest", manifest.concat().as_bytes());
        let mut command = test(&dir);
        if variable {
            let name = dir.path("manifest");
            fs::rename(dir.path("bin/pkg/t.runfiles_manifest"), &name).expect("rename");
            command.env("RUNFILES_MANIFEST_ONLY", "1");
            command.env("RUNFILES_MANIFEST_FILE", name);
        }
        let path = dir.path("bin/pkg/t_bin");
        ran(&dir, &mut command, &path, &["a"], Path::new(""));
    }
}

#[test]
fn a_mistake_fails_the_test_with_one_line() {
    let dir = built();
    let runfiles = dir.path("bin/pkg/t.runfiles");
    let gone = |name: &str| format!("\"_main/{name}\" is not in the runfiles {runfiles:?}");
    for (value, problem) in [
        (
            r#"{"command": "_main/gone", "disks": {}, "keep": "never"}"#,
            format!("\"command\": {}", gone("gone")),
        ),
        (
            r#"{"command": "_main/pkg/t_bin", "disks": {"A": "_main/x"}, "keep": "never"}"#,
            format!("\"A\": {}", gone("x")),
        ),
        (
            r#"{"command": "_main/pkg/t_bin", "disks": {}, "copies": {}, "keep": "sometimes"}"#,
            "\"keep\" is not never, on_failure or always".to_owned(),
        ),
        (
            r#"{"command": "_main/pkg/t_bin", "disks": {}, "copies": {}, "keep": "always", "keep_as": "raw"}"#,
            "\"keep_as\" is not overlay or image".to_owned(),
        ),
        (
            r#"{"command": "_main/pkg/t_bin", "keep": "never"}"#,
            "\"disks\" is not an object".to_owned(),
        ),
        (
            "",
            "EOF while parsing a value at line 1 column 0".to_owned(),
        ),
    ] {
        let run = Run::of(test(&dir).env("QCOW2_OVERLAY_TEST", value));
        run.fails(1, &format!("QCOW2_OVERLAY_TEST: {problem}"));
    }
    dir.remove("bin/vm/node.img");
    let run = Run::of(&mut test(&dir));
    let overlay = runfiles.join("_main/vm/node.qcow2");
    let base = runfiles.join("_main/vm/node.img");
    run.fails(
        1,
        &format!(
            "disk NODE1: {overlay:?}: its backing file {base:?}: \
             No such file or directory (os error 2)"
        ),
    );
    fs::remove_dir_all(&runfiles).expect("remove");
    let run = Run::of(test(&dir).env("RUNFILES_DIR", &runfiles));
    let program = dir.path("bin/pkg/t");
    run.fails(
        1,
        &format!(
            "QCOW2_OVERLAY_TEST: \"command\": {program:?} has no runfiles: run it with bazel \
             test, which sets RUNFILES_DIR"
        ),
    );
    assert_eq!(dir.left(), 0);
}

#[test]
fn a_test_can_keep_its_disks() {
    let dir = built();
    dir.mkdir("outputs");
    for (keep, keep_as, kept) in [
        ("on_failure", "overlay", "disks"),
        ("always", "image", "disks.2"),
    ] {
        let mut command = test(&dir);
        command.env("TEST_UNDECLARED_OUTPUTS_DIR", dir.path("outputs"));
        let value = format!(
            r#"{{"command": "_main/pkg/t_bin", "keep": "{keep}", "keep_as": "{keep_as}", "copies": {{}},
                "disks": {{"NODE1": "_main/vm/node.qcow2", "NODE2": "_main/vm/node.qcow2"}}}}"#
        );
        let run = Run::of(command.env("QCOW2_OVERLAY_TEST", value));
        assert_eq!(run.status, Some(7), "{}", run.stderr);
        let images = chain(&dir.path(&format!("outputs/{kept}/NODE2.qcow2")), None);
        let is_image = images.expect("a disk").len() == 1;
        assert_eq!(is_image, keep_as == "image");
        assert_eq!(dir.left(), 0);
    }
}
