//! The tool as the executable of `bazel run :image.provision`.

use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::process::Command;

use crate::common::{tool, Dir, Run};

/// Returns what `bazel build` leaves of a target `pkg/p` whose tool is `pkg/install`: files in `bin`,
/// and links to them in the runfiles.
fn built() -> Dir {
    let dir = Dir::new();
    for path in ["bin/pkg/p.runfiles/_main/pkg", "here"] {
        fs::create_dir_all(dir.path(path)).expect("mkdir");
    }
    dir.sparse("bin/pkg/node.img", 1 << 20);
    dir.tool("create -q -b node.img bin/pkg/node.qcow2 1G").ok();
    dir.write("bin/pkg/vars.fd", b"factory settings");
    let script = "#!/bin/sh\n\
        echo \"$PWD|$1|$(cat $1)|${QCOW2_OVERLAY_PROVISION-}\"\n\
        echo changed > $VARS\n\
        echo log > $2\n\
        test -w $DISK && test -w $DATA && test -n \"$DATA_BLOCKDEV\" && exit 7\n";
    dir.write("bin/pkg/install", script.as_bytes());
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path("bin/pkg/install"), executable).expect("chmod");
    symlink(tool(), dir.path("bin/pkg/p")).expect("symlink");
    for name in ["install", "node.img", "node.qcow2", "vars.fd"] {
        let link = dir.path(&format!("bin/pkg/p.runfiles/_main/pkg/{name}"));
        symlink(dir.path(&format!("bin/pkg/{name}")), link).expect("symlink");
    }
    let description = r#"{
        "args": ["out/pkg/vars.fd", "out/logs/p.log"],
        "command": "_main/pkg/install",
        "copies": {"VARS": "_main/pkg/vars.fd"},
        "disks": {"DATA": "_main/pkg/node.qcow2", "DISK": "_main/pkg/node.qcow2"},
        "inputs": {"out/pkg/vars.fd": "_main/pkg/vars.fd"},
        "outputs": ["out/logs/p.log"]
    }"#;
    dir.write("bin/pkg/p.json", description.as_bytes());
    dir
}

/// Returns the target as `bazel run` starts it, in the runfiles, for a user who is in `here`.
fn run(dir: &Dir, arguments: &[&str]) -> Run {
    let mut command = Command::new(dir.path("bin/pkg/p"));
    command
        .current_dir(dir.path("bin/pkg/p.runfiles/_main"))
        .env_remove("RUNFILES_DIR")
        .env_remove("RUNFILES_MANIFEST_FILE")
        .env_remove("TEST_SRCDIR")
        .env("BUILD_WORKING_DIRECTORY", dir.path("here"))
        .env("QCOW2_OVERLAY_PROVISION", "p.json")
        .args(arguments);
    Run::of(&mut command)
}

#[test]
fn the_tool_finds_the_paths_of_an_action_and_its_disks_stay() {
    let dir = built();
    for prepared in [false, true] {
        if prepared {
            dir.mkdir("here/it");
        }
        let run = run(&dir, &["it"]);
        let place = fs::canonicalize(dir.path("here/it")).expect("it");
        let exec_root = place.join("execroot");
        assert_eq!(
            String::from_utf8_lossy(&run.stdout),
            format!(
                "{}|out/pkg/vars.fd|factory settings|\n",
                exec_root.display()
            )
        );
        assert_eq!(
            run.stderr,
            format!(
                "qcow2-overlay: the disks are in {place:?}; the tool runs in {exec_root:?}, on \
                 what the build gives it\n"
            )
        );
        assert_eq!(run.status, Some(7));
        for disk in ["DISK", "DATA"] {
            let images = qcow2_overlay::chain(&place.join(format!("{disk}.qcow2")), None);
            assert_eq!(images.expect("a chain").len(), 2);
        }
        assert_eq!(dir.read("here/it/VARS"), b"changed\n");
        assert_eq!(dir.read("here/it/execroot/out/logs/p.log"), b"log\n");
        assert_eq!(dir.read("bin/pkg/vars.fd"), b"factory settings");
        fs::remove_dir_all(place).expect("remove");
    }
}

#[test]
fn only_an_empty_directory_is_used() {
    let dir = built();
    let usage =
        "give a directory for the disks, which is empty or does not exist: bazel run TARGET \
                 -- DIRECTORY";
    for arguments in [&[][..], &["--help"], &["one", "two"]] {
        run(&dir, arguments).fails(2, usage);
    }
    dir.mkdir("here/full");
    dir.write("here/full/file", b"mine");
    let full = dir.path("here/full");
    run(&dir, &["full"]).fails(
        1,
        &format!("{full:?} is not empty: give an empty directory, or a path where nothing is"),
    );
    assert_eq!(fs::read_dir(&full).expect("list").count(), 1);
    run(&dir, &["absent/it"]).fails(
        1,
        &format!(
            "cannot make the directory {:?}: No such file or directory (os error 2)",
            dir.path("here/absent/it")
        ),
    );
    // A base that cannot be opened is an error before there is a directory.
    dir.remove("bin/pkg/node.img");
    let failed = run(&dir, &["it"]);
    assert_eq!(failed.status, Some(1), "{}", failed.stderr);
    assert_eq!(failed.stderr.lines().count(), 1, "{}", failed.stderr);
    assert!(!dir.path("here/it").exists());
}
