//! Whatever happens to `exec`: no leftovers, and nothing written that is not its own.

use crate::common::overlay;
use crate::{in_name_space, may_be_lost, sample, signalled, system_calls};

pub const EXEC: [&str; 9] = [
    "exec",
    "--disk",
    "A=node.qcow2",
    "--disk",
    "B=node.qcow2",
    "--copy",
    "C=node.img",
    "--",
    "/bin/true",
];

#[test]
fn a_signal_at_any_system_call_leaves_nothing() {
    let dir = overlay();
    let calls = system_calls(&dir, &EXEC);
    let started = calls
        .iter()
        .position(|call| call.name.starts_with("clone") || call.name == "vfork")
        .expect("the command starts");
    assert!(started > 100, "{started}");
    for (index, call) in sample(&calls) {
        // Later the command may have ended before the signal is passed on.
        let is_passed_on = index <= started && !may_be_lost(call);
        let mut arguments = EXEC.to_vec();
        if is_passed_on {
            arguments.splice(8.., ["sleep", "60"]);
        }
        let run = signalled(&dir, "SIGTERM", call, &arguments);
        let is_ended = run.status.is_none();
        assert!(
            is_ended || !is_passed_on && run.status == Some(0),
            "{call:?}"
        );
        assert_eq!(dir.left(), 0, "{}({}", call.name, call.arguments);
    }
}

#[test]
fn a_full_test_tmpdir() {
    let dir = overlay();
    // Directories take no room on a tmpfs, and one page is not enough for a disk.
    let script = "mount -t tmpfs -o size=4k none tmp && \
                  TEST_TMPDIR=tmp \"$0\" exec --disk A=node.qcow2 -- echo it ran; \
                  status=$?; ls -A tmp; exit $status";
    let run = in_name_space(&dir, script);
    let start = "qcow2-overlay: cannot write \"";
    let end = "/A.qcow2\": No space left on device (os error 28)\n";
    let message = &run.stderr;
    assert!(
        message.starts_with(start) && message.ends_with(end),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1);
    assert_eq!((run.status, &run.stdout[..]), (Some(1), &b""[..]));
}

#[test]
fn disks_are_kept_on_another_file_system_without_filling_their_holes() {
    let dir = overlay();
    dir.mkdir("outputs");
    // The disk of the script has 8 MiB, of which 8 KiB are data.
    let script = "mount -t tmpfs none outputs && \
                  export TEST_TMPDIR=tmp TEST_UNDECLARED_OUTPUTS_DIR=outputs && \
                  \"$0\" exec --keep on_failure --disk A=node.qcow2 -- sh -c ' \
                    printf data | dd of=$A bs=1 seek=4M conv=notrunc status=none; \
                    truncate -s 8M $A; cksum < $A > sum; exit 5'; \
                  echo $?; cksum < outputs/disks/A.qcow2 | cmp - sum; \
                  stat -c %s outputs/disks/A.qcow2; du -k outputs/disks/A.qcow2 | cut -f1";
    let said = in_name_space(&dir, script).ok();
    let [status, length, kilobytes] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    assert_eq!((status, length), ("5", "8388608"));
    assert!(kilobytes.parse::<u32>().expect("a number") <= 16, "{said}");
    assert_eq!(dir.left(), 0);
}

#[test]
fn copies_are_kept_on_another_file_system_without_following_their_links() {
    let dir = overlay();
    dir.mkdir("outputs");
    dir.mkdir("state");
    // A guest can make links, and a program leaves its sockets behind.
    let script = "mount -t tmpfs none outputs && \
                  export TEST_TMPDIR=tmp TEST_UNDECLARED_OUTPUTS_DIR=outputs && \
                  \"$0\" exec --keep on_failure --copy S=state --copy L=state -- sh -c ' \
                    cd $S; echo new > file; ln -s / root; ln -s file link; mkfifo pipe; \
                    rm -r $L; ln -s / $L; exit 5'; \
                  echo $?; cd outputs/disks; find . -printf '%P %y%l\n' | sort";
    let said = in_name_space(&dir, script).ok();
    let expected = "5\n d\nL l/\nS d\nS/file f\nS/link lfile\nS/root l/\n";
    assert_eq!(said, expected);
    assert_eq!(dir.left(), 0);
}

#[test]
fn disks_are_kept_on_a_full_file_system() {
    let dir = overlay();
    // A test can have filled the file system: that is no reason to lose its disks.
    let script = "mount -t tmpfs -o size=1M none tmp && mkdir tmp/outputs && \
                  export TEST_TMPDIR=tmp TEST_UNDECLARED_OUTPUTS_DIR=tmp/outputs && \
                  \"$0\" exec --keep on_failure --disk A=node.qcow2 -- sh -c ' \
                    cat /dev/zero > tmp/full 2>&-; exit 5'; \
                  echo $?; ls tmp/outputs/disks";
    let run = in_name_space(&dir, script);
    let [kept, problem] = run.stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{}", run.stderr);
    };
    assert!(kept.contains("the disks are kept in "), "{kept}");
    let end = "/README.txt\": No space left on device (os error 28)";
    assert!(problem.ends_with(end), "{problem}");
    assert_eq!(String::from_utf8_lossy(&run.stdout), "5\nA.qcow2\n");
}

#[test]
fn a_full_file_system_keeps_overlays_in_place_of_images() {
    let dir = overlay();
    dir.write("node.img", &[7; 1 << 20]);
    let script = "mount -t tmpfs -o size=1M none tmp && mkdir tmp/outputs && \
                  export TEST_TMPDIR=tmp TEST_UNDECLARED_OUTPUTS_DIR=tmp/outputs && \
                  \"$0\" exec --keep always --keep-as image --disk A=node.qcow2 -- sh -c ' \
                    cat /dev/zero > tmp/full 2>&-; exit 5'; \
                  echo $?; ls tmp/outputs/disks; \"$0\" info tmp/outputs/disks/A.qcow2 | grep -c backing";
    let run = in_name_space(&dir, script);
    let [kept, problem] = run.stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{}", run.stderr);
    };
    assert!(kept.contains("the disks are kept in "), "{kept}");
    let start = "qcow2-overlay: the disk A is kept as an overlay: ";
    let end = "No space left on device (os error 28)";
    assert!(
        problem.starts_with(start) && problem.ends_with(end),
        "{problem}"
    );
    assert_eq!(
        String::from_utf8_lossy(&run.stdout),
        "5\nA.qcow2\nREADME.txt\n2\n"
    );
}

#[test]
fn a_named_pipe_in_place_of_a_disk_does_not_block() {
    let dir = overlay();
    dir.mkdir("outputs");
    let script = "mount -t tmpfs none outputs && \
                  export TEST_TMPDIR=tmp TEST_UNDECLARED_OUTPUTS_DIR=outputs && \
                  timeout -s KILL 20 \"$0\" exec --keep on_failure --disk A=node.qcow2 -- \
                    sh -c 'rm $A; mkfifo $A; exit 5'; status=$?; ls outputs; exit $status";
    let run = in_name_space(&dir, script);
    let end = "/disks/A.qcow2\": it is not a regular file\n";
    assert!(run.stderr.ends_with(end), "{}", run.stderr);
    assert_eq!((run.status, &run.stdout[..]), (Some(5), &b""[..]));
}

#[test]
fn the_first_process_of_a_container_exits_with_the_number_of_the_signal() {
    let dir = overlay();
    // With TEST_TMPDIR the tool would become the command.
    let script = "unset TEST_TMPDIR; TMPDIR=$PWD/tmp exec unshare --pid --fork \
                  \"$0\" exec --disk A=node.qcow2 -- sh -c 'kill -KILL $$'";
    let run = in_name_space(&dir, script);
    assert_eq!((run.status, &run.stderr[..]), (Some(128 + 9), ""));
    assert_eq!(dir.left(), 0);
}
