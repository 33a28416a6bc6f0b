//! `provision` with the real QEMU: how it writes does not matter, and what it may not do.

use std::process::Command;

use crate::common::{tool, Dir, Run};

/// A base with data in its first cluster.
fn with_base() -> Dir {
    let dir = Dir::new();
    dir.write(
        "base.raw",
        &[[1; 64 << 10].as_slice(), &[0; 960 << 10]].concat(),
    );
    dir
}

/// `provision` of top.qcow2 by a script of the shell.
fn provision(dir: &Dir, script: &str) -> Run {
    let mut command: Command = dir.command(tool());
    command.args(["provision", "-q", "--force", "-b", "base.raw", "top.qcow2"]);
    Run::of(command.args(["--", "sh", "-c", script]))
}

/// `provision` of what qemu-io writes with these commands.
fn written_by(dir: &Dir, commands: &[&str]) -> Vec<u8> {
    let words: Vec<String> = commands.iter().map(|it| format!("-c '{it}'")).collect();
    let script = format!("qemu-io {} \"json:$DISK_BLOCKDEV\"", words.join(" "));
    provision(dir, &script).ok();
    let check = dir
        .command("qemu-img")
        .args(["check", "-q", "top.qcow2"])
        .status();
    assert!(check.expect("it runs").success(), "{commands:?}");
    dir.read("top.qcow2")
}

#[test]
fn the_order_of_writes_and_what_was_there_between_do_not_matter() {
    let dir = with_base();
    let expected = written_by(&dir, &["write -P 2 128K 64K", "write -P 3 512K 100K"]);
    for commands in [
        &["write -P 3 512K 100K", "write -P 2 128K 64K"][..],
        &[
            "write -P 9 0 1M",
            "write -P 0 0 1M",
            "write -P 1 0 64K",
            "write -P 2 128K 64K",
            "write -P 3 512K 100K",
        ],
        &[
            "write -P 2 128K 64K",
            "write -P 3 512K 100K",
            "write -P 9 256K 64K",
            "discard 256K 64K",
        ],
        &[
            "write -P 2 128K 64K",
            "write -P 3 512K 100K",
            "write -z 256K 64K",
            "write -z -u 320K 64K",
        ],
        &[
            "write -P 2 128K 32K",
            "write -P 2 160K 32K",
            "flush",
            "write -P 3 512K 100K",
            "write -P 1 4K 4K",
        ],
    ] {
        assert!(written_by(&dir, commands) == expected, "{commands:?}");
    }
    // Where the base has data, zeros are content.
    let zeroed = written_by(
        &dir,
        &[
            "write -P 2 128K 64K",
            "write -P 3 512K 100K",
            "discard 0 64K",
        ],
    );
    assert!(zeroed != expected);
    Run::of(dir.command("qemu-io").args([
        "-c",
        "read -P 0 0 64K",
        "-c",
        "read -P 2 128K 64K",
        "top.qcow2",
    ]))
    .ok();
}

#[test]
fn internal_snapshots_and_a_larger_disk() {
    let dir = with_base();
    let expected = written_by(&dir, &["write -P 2 128K 64K"]);
    let script = "qemu-io -c 'write -P 7 0 1M' $DISK && qemu-img snapshot -c old $DISK && \
                  qemu-io -c 'write -P 1 0 64K' -c 'write -P 0 64K 960K' -c 'write -P 2 128K 64K' $DISK";
    provision(&dir, script).ok();
    assert!(dir.read("top.qcow2") == expected);
    provision(
        &dir,
        "qemu-img resize -q $DISK 3M && qemu-io -c 'write -P 5 2M 64K' $DISK",
    )
    .ok();
    let image = qcow2_overlay::ImageInfo::read(&dir.path("top.qcow2"), None).expect("an image");
    assert_eq!(image.virtual_size, 3 << 20);
}

#[test]
fn a_qemu_that_has_the_disk_open_still() {
    let dir = with_base();
    for option in ["", "-r"] {
        let script = format!(
            "rm -f fifo ready; mkfifo fifo; qemu-io {option} $DISK < fifo > ready 2>&1 & exec 3> fifo; echo length >&3; \
             until grep -q MiB ready; do sleep 0.01; done; sleep 60 >&3 2>/dev/null & echo $! > pid"
        );
        let run = provision(&dir, &script);
        let pid = String::from_utf8(dir.read("pid")).expect("a number");
        let kill = format!("kill {pid}");
        Run::of(dir.command("sh").arg("-c").arg(kill)).ok();
        run.fails(
            1,
            "a process that COMMAND started still has the disk open: it must end, or close the \
             disk, before COMMAND ends",
        );
        assert!(!dir.path("top.qcow2").exists());
    }
}

#[test]
fn a_commit_to_the_base_is_an_error() {
    let dir = with_base();
    provision(
        &dir,
        "qemu-io -c 'write -P 2 0 64K' $DISK > /dev/null && qemu-img commit -q $DISK",
    )
    .fails(
        1,
        "\"base.raw\" was changed while COMMAND ran, so what COMMAND wrote may not match it",
    );
    assert!(!dir.path("top.qcow2").exists());
}
