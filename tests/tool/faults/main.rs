//! Whatever happens to the tool: the old state or the whole new file, and no leftovers.

#[path = "../command/common.rs"]
mod common;
mod convert;
mod create;
mod errors;
mod exec;
mod naming;
mod opened;
#[cfg(portable)]
mod portable;
mod provision;

use std::collections::HashMap;
use std::env;

use common::{tool, Dir, Run};

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
    dir.remove("trace");
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

/// Returns a sample of the calls, with their places among them: of those that differ only in
/// numbers and names, not in flags, the first and every fourth one. QCOW2_ROUNDS asks for all.
fn sample(calls: &[Call]) -> impl Iterator<Item = (usize, &Call)> {
    let all = env::var_os("QCOW2_ROUNDS").is_some();
    let mut seen = HashMap::new();
    calls.iter().enumerate().filter(move |(_, call)| {
        let is_in_flag = |c: char| c.is_ascii_uppercase() || c == '_';
        let words = call.arguments.split(|c| !is_in_flag(c));
        let flags: Vec<&str> = words.filter(|word| word.len() > 2).collect();
        let earlier = seen.entry((&call.name[..], flags)).or_insert(0);
        *earlier += 1;
        all || (*earlier - 1) % 4 == 0
    })
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
        // inject. Threads do not wait for each other each time.
        if call.name != "futex" || run.status != Some(0) {
            assert_eq!(run.status.is_none(), call.name != "execve", "{call:?}");
        }
        check(&dir, &call.name);
    }
}

/// Runs `script` with the tool as `$0`, as root of a name space of its own.
fn in_name_space(dir: &Dir, script: &str) -> Run {
    let mut command = dir.command("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script]);
    Run::of(command.arg(tool()))
}

/// Returns the `file` that the tool makes if nothing goes wrong.
fn made(prepare: impl Fn(&Dir), arguments: &[&str], file: &str) -> Vec<u8> {
    let dir = Dir::new();
    prepare(&dir);
    Run::of(dir.command(tool()).args(arguments)).ok();
    dir.read(file)
}
