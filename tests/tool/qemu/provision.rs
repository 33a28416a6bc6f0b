//! `provision` with the real QEMU: how QEMU writes does not matter, but it must not leave the disk
//! open or change the base.

use crate::common::{tool, Dir, Run};
use crate::qemu_io;

/// Returns a base with data in its first cluster.
fn base_with_data() -> Dir {
    let dir = Dir::new();
    dir.write(
        "base.raw",
        &[[1; 64 << 10].as_slice(), &[0; 960 << 10]].concat(),
    );
    dir
}

/// Runs `provision` of top.qcow2 with a shell script.
fn provision(dir: &Dir, script: &str) -> Run {
    let mut command = dir.command(tool());
    command.args(["provision", "-q", "--force", "-b", "base.raw", "top.qcow2"]);
    Run::of(command.args(["--", "sh", "-c", script]))
}

/// Returns the image that `provision` makes of what qemu-io writes with these commands.
fn written_by(dir: &Dir, commands: &[&str]) -> Vec<u8> {
    let words: Vec<String> = commands.iter().map(|it| format!("-c '{it}'")).collect();
    let script = format!("qemu-io {} \"json:$DISK_BLOCKDEV\"", words.join(" "));
    provision(dir, &script).ok();
    dir.check("top.qcow2", &format!("{commands:?}"));
    dir.read("top.qcow2")
}

#[test]
fn the_image_can_be_compressed() {
    let dir = base_with_data();
    let mut command = dir.command(tool());
    command.args("provision -q -b base.raw -c -o compression_type=zstd top.qcow2 --".split(' '));
    let script = "qemu-io -c 'write -P 2 0 512K' \"json:$DISK_BLOCKDEV\"";
    Run::of(command.args(["sh", "-c", script])).ok();
    dir.check("top.qcow2", "compressed");
    let said = dir.qemu_img("check -f qcow2 top.qcow2");
    assert!(said.contains("100.00% compressed clusters"), "{said}");
    qemu_io(&dir, "read -P 2 0 512K", "top.qcow2");
}

#[test]
fn only_the_final_content_changes_the_bytes() {
    let dir = base_with_data();
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
    // Where the base has data, zeros are a change.
    let zeroed = written_by(
        &dir,
        &[
            "write -P 2 128K 64K",
            "write -P 3 512K 100K",
            "discard 0 64K",
        ],
    );
    assert!(zeroed != expected);
    qemu_io(&dir, "read -P 0 0 64K", "top.qcow2");
    qemu_io(&dir, "read -P 2 128K 64K", "top.qcow2");
}

#[test]
fn leaves_out_internal_snapshots_and_keeps_a_larger_size() {
    let dir = base_with_data();
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
fn refuses_a_disk_that_a_qemu_still_has_open() {
    let dir = base_with_data();
    for option in ["", "-r"] {
        let script = format!(
            "rm -f fifo; mkfifo fifo; : > ready; qemu-io {option} $DISK < fifo > ready 2>&1 & \
             exec 3> fifo; echo length >&3; until grep -q MiB ready; do sleep 0.01; done; \
             sleep 60 >&3 2>/dev/null & echo $! > pid"
        );
        let run = provision(&dir, &script);
        let pid = String::from_utf8(dir.read("pid")).expect("a number");
        dir.shell(&format!("kill {pid}")).ok();
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
    let dir = base_with_data();
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
