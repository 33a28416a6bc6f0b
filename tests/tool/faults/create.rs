//! `create` where the disk is full, that is killed, or that others run beside it.

use std::process::{Child, Stdio};

use qcow2_overlay::ImageInfo;

use crate::common::{tool, Dir};
use crate::{in_name_space, kill_at_each, made};

const CREATE: [&str; 9] = [
    "create",
    "-q",
    "-u",
    "-b",
    "base",
    "-F",
    "raw",
    "disk.qcow2",
    "1G",
];

#[test]
fn killed_at_any_system_call_it_leaves_nothing_or_the_whole_file() {
    let complete = made(|_| {}, &CREATE, "disk.qcow2");
    let check = |dir: &Dir, call: &str| match &dir.names()[..] {
        [] => {}
        [name] if name == "disk.qcow2" => assert!(dir.read(name) == complete, "{call}"),
        names => panic!("after {call}: {names:?}"),
    };
    kill_at_each(|_| {}, &CREATE, check);
}

#[test]
fn killed_at_any_system_call_it_leaves_the_old_file_or_the_new_one() {
    let complete = made(|_| {}, &CREATE, "disk.qcow2");
    let arguments = [&CREATE[..], &["--force"]].concat();
    let prepare = |dir: &Dir| dir.write("disk.qcow2", b"precious");
    kill_at_each(prepare, &arguments, |dir, call| {
        let disk = dir.read("disk.qcow2");
        assert!(disk == b"precious" || disk == complete, "{call}");
        // A name can be replaced by another only: see create_file.
        match &dir.names()[..] {
            [_] => {}
            [temporary, _] if call == "renameat" || call == "rename" => {
                assert!(temporary.starts_with(".qcow2-overlay-"), "{temporary}");
                assert!(dir.read(temporary) == complete);
            }
            names => panic!("after {call}: {names:?}"),
        }
    });
}

/// Starts eight writers of `disk.qcow2` with different sizes, and returns the sizes in GiB of
/// those that succeeded.
fn write_side_by_side(dir: &Dir, options: &[&str]) -> Vec<u64> {
    let start = |size: u64| -> (u64, Child) {
        let mut command = dir.command(tool());
        command.args(["create", "-q", "disk.qcow2", &format!("{size}G")]);
        command.args(options).stderr(Stdio::null());
        (size, command.spawn().expect("the tool starts"))
    };
    let writers: Vec<_> = (1..=8).map(start).collect();
    let succeeded = writers.into_iter().filter_map(|(size, mut writer)| {
        let status = writer.wait().expect("its status");
        status.success().then_some(size)
    });
    succeeded.collect()
}

fn size_of_disk(dir: &Dir) -> u64 {
    assert_eq!(dir.names(), ["disk.qcow2"]);
    let image = ImageInfo::read(&dir.path("disk.qcow2"), None);
    image.expect("an image").virtual_size
}

#[test]
fn of_many_writers_of_one_name_one_succeeds() {
    for _ in 0..20 {
        let dir = Dir::new();
        let succeeded = write_side_by_side(&dir, &[]);
        assert_eq!(succeeded.len(), 1, "{succeeded:?}");
        assert_eq!(size_of_disk(&dir), succeeded[0] << 30);
    }
}

#[test]
fn many_writers_with_force_leave_one_whole_file() {
    let dir = Dir::new();
    for _ in 0..20 {
        assert_eq!(write_side_by_side(&dir, &["--force"]).len(), 8);
        size_of_disk(&dir);
    }
}

#[test]
fn a_full_disk() {
    let dir = Dir::new();
    dir.mkdir("disk");
    // One page: enough for the header, not for the refcounts.
    let script = "mount -t tmpfs -o size=4k none disk && \"$0\" create disk/x 1G; \
                  status=$?; ls -A disk; exit $status";
    in_name_space(&dir, script).fails(
        1,
        "cannot write \"disk/x\": No space left on device (os error 28)",
    );
}

#[test]
fn a_full_disk_keeps_what_was_to_be_replaced() {
    let dir = Dir::new();
    dir.mkdir("disk");
    let script = "mount -t tmpfs -o size=8k none disk && printf precious > disk/x && \
                  ! \"$0\" create --force disk/x 1G && ls -A disk && cat disk/x";
    let run = in_name_space(&dir, script);
    assert!(
        run.stderr.contains("No space left on device"),
        "{}",
        run.stderr
    );
    assert_eq!(run.ok(), "x\nprecious");
}

#[test]
fn a_read_only_directory() {
    let dir = Dir::new();
    dir.mkdir("disk");
    dir.write("disk/old", b"precious");
    let script = "mount --bind disk disk && mount -o remount,bind,ro disk && cd disk && \
                  for file in new old; do \"$0\" create --force $file 1G; done; ls -A";
    let run = in_name_space(&dir, script);
    let refused = |file| {
        format!("qcow2-overlay: cannot write {file:?}: Read-only file system (os error 30)\n")
    };
    assert_eq!(run.stderr, refused("new") + &refused("old"));
    assert_eq!(run.ok(), "old\n");
    assert_eq!(dir.read("disk/old"), b"precious");
}
