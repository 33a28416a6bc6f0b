//! Whatever happens to the tool: the old state or the whole new file, and no leftovers.

#[path = "../command/common.rs"]
mod common;
mod convert;
mod errors;
mod exec;
mod naming;
mod opened;
mod provision;

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command};

use common::{tool, Dir, Run};

const NEW: [&str; 7] = ["-q", "-u", "-b", "base", "-F", "raw", "disk.qcow2"];

#[derive(Debug)]
struct Call {
    name: String,
    arguments: String,
    /// Among the calls of the same name, which is how strace counts.
    number: usize,
}

/// The tool under strace as it is run by hand, with `tmp` for temporary files.
fn strace(dir: &Dir, options: &[&str], arguments: &[&str]) -> Run {
    // With one processor `convert` has one thread, whose calls can be counted.
    let mut command = dir.command("taskset");
    command.args(["-c", "0", "strace"]);
    command.env_remove("TEST_TMPDIR");
    command.env("TMPDIR", dir.path("tmp"));
    command.arg("-qq").args(options).arg(tool());
    Run::of(command.args(arguments))
}

/// The system calls of the tool, not of a command it runs, in their order.
fn system_calls(dir: &Dir, arguments: &[&str]) -> Vec<Call> {
    let (run, calls) = traced(dir, &[], arguments);
    run.ok();
    calls
}

/// Runs the tool with these options of strace, and returns its system calls too.
fn traced(dir: &Dir, options: &[&str], arguments: &[&str]) -> (Run, Vec<Call>) {
    let run = strace(dir, &[&["-o", "trace"], options].concat(), arguments);
    let trace = String::from_utf8(dir.read("trace")).expect("a trace");
    fs::remove_file(dir.path("trace")).expect("remove");
    let mut counts = HashMap::new();
    let calls = trace.lines().filter_map(|line| {
        let (name, arguments) = line.split_once('(')?;
        if name.contains(' ') {
            return None; // a signal
        }
        let count = counts.entry(name).or_insert(0);
        *count += 1;
        Some(Call {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            number: *count,
        })
    });
    (run, calls.collect())
}

/// Runs the tool under strace, which does to it what `inject` says.
fn injected(dir: &Dir, inject: &str, arguments: &[&str]) -> Run {
    let injections = inject.split(' ').flat_map(|inject| ["-e", inject]);
    let options: Vec<&str> = ["-o", "/dev/null"].into_iter().chain(injections).collect();
    strace(dir, &options, arguments)
}

/// Runs the tool, which gets `signal` as it enters `call`.
fn signalled(dir: &Dir, signal: &str, call: &Call, arguments: &[&str]) -> Run {
    let Call { name, number, .. } = call;
    let inject = format!("inject={name}:signal={signal}:when={number}");
    injected(dir, &inject, arguments)
}

/// Whether no SIGTERM comes, or none is noticed, as the tool enters `call`: execve is over
/// before strace can inject, and signal-hook has a short gap as it installs its handler.
fn may_be_lost(call: &Call) -> bool {
    let is_installed = call.name == "rt_sigaction" && call.arguments.starts_with("SIGTERM, {");
    call.name == "execve" || is_installed
}

/// Kills the tool, with SIGKILL, as it enters each of its system calls in turn, and
/// shows what is then in the directory to `check`.
fn kill_at_each(prepare: fn(&Dir), arguments: &[&str], check: impl Fn(&Dir, &str)) {
    let dir = Dir::new();
    prepare(&dir);
    let calls = system_calls(&dir, arguments);
    assert!(calls.len() > 20);
    for call in &calls {
        let dir = Dir::new();
        prepare(&dir);
        let run = signalled(&dir, "SIGKILL", call, arguments);
        // strace ends by the signal that ended the tool. execve is over before strace can
        // inject.
        assert_eq!(run.status.is_none(), call.name != "execve", "{call:?}");
        check(&dir, &call.name);
    }
}

fn complete() -> Vec<u8> {
    let dir = Dir::new();
    let arguments = ["create"].iter().chain(&NEW).chain(&["1G"]);
    Run::of(dir.command(tool()).args(arguments)).ok();
    dir.read("disk.qcow2")
}

#[test]
fn killed_at_any_system_call_it_leaves_nothing_or_the_whole_file() {
    let complete = complete();
    let arguments: Vec<&str> = ["create"]
        .iter()
        .chain(&NEW)
        .chain(&["1G"])
        .copied()
        .collect();
    kill_at_each(
        |_| {},
        &arguments,
        |dir, call| match &dir.names()[..] {
            [] => {}
            [name] if name == "disk.qcow2" => assert!(dir.read(name) == complete, "{call}"),
            names => panic!("after {call}: {names:?}"),
        },
    );
}

#[test]
fn killed_at_any_system_call_it_leaves_the_old_file_or_the_new_one() {
    let complete = complete();
    let mut arguments = vec!["create", "--force"];
    arguments.extend(NEW);
    arguments.push("1G");
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

#[test]
fn of_many_writers_of_one_name_one_succeeds() {
    for _ in 0..20 {
        let dir = Dir::new();
        let start = |size: usize| -> Child {
            let mut command = dir.command(tool());
            command.args(["create", "-q", "disk.qcow2", &format!("{size}G")]);
            command.stderr(std::process::Stdio::null());
            command.spawn().expect("the tool starts")
        };
        let writers: Vec<Child> = (1..=8).map(start).collect();
        let succeeded: Vec<usize> = writers
            .into_iter()
            .enumerate()
            .filter_map(|(index, mut writer)| {
                let status = writer.wait().expect("its status");
                status.success().then_some(index + 1)
            })
            .collect();
        assert_eq!(succeeded.len(), 1, "{succeeded:?}");
        assert_eq!(dir.names(), ["disk.qcow2"]);
        let image = qcow2_overlay::ImageInfo::read(&dir.path("disk.qcow2"), None);
        let size = image.expect("an image").virtual_size;
        assert_eq!(size, (succeeded[0] as u64) << 30);
    }
}

#[test]
fn many_writers_with_force_leave_one_whole_file() {
    let dir = Dir::new();
    let start = |size: usize| -> Child {
        let mut command = dir.command(tool());
        command.args(["create", "-q", "--force", "disk.qcow2", &format!("{size}G")]);
        command.spawn().expect("the tool starts")
    };
    for _ in 0..20 {
        let writers: Vec<Child> = (1..=8).map(start).collect();
        for mut writer in writers {
            assert!(writer.wait().expect("its status").success());
        }
        assert_eq!(dir.names(), ["disk.qcow2"]);
        qcow2_overlay::ImageInfo::read(&dir.path("disk.qcow2"), None).expect("an image");
    }
}

/// Runs `script` with the tool as `$0`, as root of a name space of its own.
fn in_name_space(dir: &Dir, script: &str) -> Command {
    let mut command = dir.command("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script]);
    command.arg(tool());
    command
}

#[test]
fn a_full_disk() {
    let dir = Dir::new();
    fs::create_dir(dir.path("disk")).expect("mkdir");
    // One page: enough for the header, not for the refcounts.
    let script = "mount -t tmpfs -o size=4k none disk && \"$0\" create disk/x 1G; \
                  status=$?; ls -A disk; exit $status";
    Run::of(&mut in_name_space(&dir, script)).fails(
        1,
        "cannot write \"disk/x\": No space left on device (os error 28)",
    );
}

#[test]
fn a_full_disk_keeps_what_was_to_be_replaced() {
    let dir = Dir::new();
    fs::create_dir(dir.path("disk")).expect("mkdir");
    let script = "mount -t tmpfs -o size=8k none disk && printf precious > disk/x && \
                  ! \"$0\" create --force disk/x 1G && ls -A disk && cat disk/x";
    let run = Run::of(&mut in_name_space(&dir, script));
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
    fs::create_dir(dir.path("disk")).expect("mkdir");
    dir.write("disk/old", b"precious");
    let script = "mount --bind disk disk && mount -o remount,bind,ro disk && cd disk && \
                  for file in new old; do \"$0\" create --force $file 1G; done; ls -A";
    let run = Run::of(&mut in_name_space(&dir, script));
    let refused = |file| {
        format!("qcow2-overlay: cannot write {file:?}: Read-only file system (os error 30)\n")
    };
    assert_eq!(run.stderr, refused("new") + &refused("old"));
    assert_eq!(run.ok(), "old\n");
    assert_eq!(dir.read("disk/old"), b"precious");
}
