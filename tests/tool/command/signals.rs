//! Signals: which of them `exec` and `provision` pass on, and that no file is left when one ends
//! the tool.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use crate::common::{overlay, tool, Dir, Run};
use crate::convert::read;
use crate::exec::{by_hand, in_bazel, shell, started_by};
use crate::provision::images;

/// Returns the tool as run by hand, with the default action for `signals`: INT and QUIT are
/// ignored in what a shell starts in the background, HUP in what nohup(1) starts.
fn with_signals(signals: &str, dir: &Dir, arguments: &[&str]) -> Command {
    let (option, tool) = (format!("--default-signal={signals}"), tool());
    let starter = ["env", &option, tool.to_str().expect("UTF-8")];
    started_by(dir, &starter, arguments)
}

/// Starts a command, and waits until it prints `ready`.
pub fn start(command: &mut Command) -> (Child, BufReader<impl Read>) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let stdout = child.stdout.take().expect("its output");
    (child, after_ready(stdout))
}

fn after_ready<T: Read>(output: T) -> BufReader<T> {
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    output
}

/// Sends a signal to a command.
pub fn send(signal: &str, child: &Child) {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("kill -{signal} {}", child.id())]);
    assert!(shell.status().expect("it runs").success());
}

/// A shell script that prints `ready` and waits for a signal.
pub const WAIT: &str = "echo ready; while :; do sleep 0.01; done";

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs options of GNU env")]
fn a_signal_reaches_the_command_and_nothing_is_left() {
    for signal in ["TERM", "HUP", "USR1", "USR2"] {
        let dir = overlay();
        let script = format!("trap 'echo got it; exit 9' {signal}; {WAIT}");
        let (mut child, mut stdout) = start(&mut with_signals(signal, &dir, &shell(&script)));
        assert_eq!(dir.left(), 1);
        send(signal, &child);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).expect("the rest");
        assert_eq!(rest, "got it\n", "{signal}");
        assert_eq!(child.wait().expect("a status").code(), Some(9), "{signal}");
        assert_eq!(dir.left(), 0, "{signal}");
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs options of GNU env")]
fn signals_from_the_terminal_are_not_passed_on() {
    for signal in ["INT", "QUIT"] {
        let dir = overlay();
        let script = format!("trap 'exit 9' TERM; {WAIT}");
        let (mut child, _stdout) = start(&mut with_signals(signal, &dir, &shell(&script)));
        send(signal, &child);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(child.try_wait().expect("a status"), None, "{signal}");
        send("TERM", &child);
        assert_eq!(child.wait().expect("a status").code(), Some(9), "{signal}");
        assert_eq!(dir.left(), 0, "{signal}");
    }
}

#[test]
fn the_tool_ends_by_the_signal_that_ended_the_command() {
    // Not INT, which is ignored in what a shell starts in the background.
    for (signal, number) in [("KILL", 9), ("TERM", 15), ("ABRT", 6), ("USR1", 10)] {
        for bazel in [false, true] {
            let dir = overlay();
            let script = format!("kill -{signal} $$");
            let mut command = if bazel {
                in_bazel(&dir, &shell(&script))
            } else {
                by_hand(&dir, &shell(&script))
            };
            let status = command.status().expect("it runs");
            assert_eq!(status.signal(), Some(number), "{bazel}");
            assert_eq!(dir.left(), usize::from(bazel));
        }
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    // Like nohup(1).
    let dir = overlay();
    let tool = tool();
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let starter = ["sh", "-c", script, tool.to_str().expect("UTF-8")];
    let script = "kill -HUP $$; kill -HUP $PPID; echo alive";
    let mut nohup = started_by(&dir, &starter, &shell(script));
    assert_eq!(Run::of(&mut nohup).ok(), "alive\n");
    assert_eq!(dir.left(), 0);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs options of GNU env")]
fn a_conversion_that_a_signal_ends_leaves_nothing() {
    for (signal, number) in [("KILL", 9), ("TERM", 15), ("HUP", 1)] {
        let dir = Dir::new();
        let mut command = dir.command("env");
        command.arg("--default-signal=TERM,HUP").arg(tool());
        command.args(["convert", "-p", "-", "disk.qcow2"]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("its input");
        stdin.write_all(&vec![1; 4 << 20]).expect("a write");
        // It prints its progress once it has read a part and opened the output.
        let mut stderr = child.stderr.take().expect("its output");
        stderr.read_exact(&mut [0; 10]).expect("its progress");
        send(signal, &child);
        let status = child.wait().expect("a status");
        assert_eq!(status.signal(), Some(number), "{signal}");
        // Without unnamed files, nobody removes the hidden one.
        let is_left = signal == "KILL" && !cfg!(all(target_os = "linux", not(portable)));
        assert_eq!(dir.names().len(), usize::from(is_left), "{signal}");
        drop(stdin);
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs options of GNU env")]
fn provision_keeps_nothing_after_a_signal() {
    // QEMU too ends with success.
    let gentle = "trap 'exit 0' TERM HUP INT QUIT";
    let cases = [
        ("TERM", 15, ""),
        ("HUP", 1, ""),
        ("TERM", 15, LIMIT),
        ("HUP", 1, LIMIT),
        // A terminal does not send these to the process group of a command with a limit.
        ("INT", 2, LIMIT),
        ("QUIT", 3, LIMIT),
    ];
    for (signal, number, limit) in cases {
        for (trap, how) in [("true", "was terminated"), (gentle, "was asked to end")] {
            let dir = images();
            let before = dir.names();
            let script = format!("{trap}; {WAIT}");
            let (mut child, mut stderr) = start_provision(&dir, limit, &script);
            assert_ne!(dir.names(), before, "the disk is here");
            send(signal, &child);
            let mut rest = String::new();
            stderr.read_to_string(&mut rest).expect("the rest");
            let message = format!(
                "qcow2-overlay: \"sh\" {how} by signal {number}; its changes were discarded\n"
            );
            // The processes that the shell runs get the signal too, which the shell may say.
            let said = rest.strip_suffix(&message);
            assert!(
                said.is_some_and(|said| said.is_empty() || !limit.is_empty()),
                "{rest}"
            );
            let status = child.wait().expect("a status").code();
            assert_eq!(status, Some(128 + number));
            assert_eq!(dir.names(), before);
        }
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs options of GNU env")]
fn kill_follows_if_a_command_with_a_limit_does_not_end() {
    let dir = images();
    let before = dir.names();
    let script = format!("trap '' TERM; {WAIT}");
    let (mut child, mut stderr) = start_provision(&dir, LIMIT, &script);
    send("TERM", &child);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("the rest");
    let message = "\"sh\" was terminated by signal 9; its changes were discarded";
    assert_eq!(rest, format!("qcow2-overlay: {message}\n"));
    assert_eq!(child.wait().expect("a status").code(), Some(137));
    assert_eq!(dir.names(), before);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs options of GNU env")]
fn provision_keeps_nothing_after_a_signal_from_the_terminal() {
    for (signal, number) in [("INT", 2), ("QUIT", 3)] {
        let dir = images();
        let before = dir.names();
        let script = "echo ready; until [ -e end ]; do sleep 0.01; done; rm end";
        let (mut child, _stderr) = start_provision(&dir, "", script);
        send(signal, &child);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(child.try_wait().expect("a status"), None, "{signal}");
        dir.write("end", b"");
        let status = child.wait().expect("a status").code();
        assert_eq!(status, Some(128 + number), "{signal}");
        assert_eq!(dir.names(), before);
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs options of GNU env")]
fn provision_passes_on_other_signals() {
    let dir = images();
    let script = "trap 'cat new.qcow2 > $DISK; exit 0' USR1; echo ready; \
                  while :; do sleep 0.01; done";
    let (mut child, _stderr) = start_provision(&dir, "", script);
    send("USR1", &child);
    assert_eq!(child.wait().expect("a status").code(), Some(0));
    assert!(read(&dir, "top.qcow2") == dir.read("new.raw"));
}

/// A limit of time that never matters.
const LIMIT: &str = "--timeout 100000";

/// Starts `provision` with options and a shell script, with the default action for all signals.
fn start_provision(dir: &Dir, options: &str, script: &str) -> (Child, BufReader<impl Read>) {
    let mut command = dir.command("env");
    command.arg("--default-signal=TERM,HUP,INT,QUIT,USR1");
    command
        .arg(tool())
        .args(["provision", "-q", "-b", "base.raw"])
        .args(options.split_whitespace());
    command.args(["top.qcow2", "--", "sh", "-c", script]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let stderr = child.stderr.take().expect("its output");
    (child, after_ready(stderr))
}
