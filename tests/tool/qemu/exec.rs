//! QEMU's own programs open the disks of `exec` as it describes them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::common::{sha256, tool, Dir, Run};
use crate::{qemu_io, LUKS};

/// Returns a chain of a base and two overlays, with 1 MiB of its own data in each overlay.
fn chain_of_three() -> Dir {
    let dir = Dir::new();
    dir.mkdir("with, comma");
    dir.write("with, comma/node.img", &vec![1; 4 << 20]);
    let mut command = dir.command(tool());
    command.args(["create", "-q", "-b", "with, comma/node.img", "v1.qcow2"]);
    Run::of(&mut command).ok();
    qemu_io(&dir, "write -P 2 1M 1M", "v1.qcow2");
    dir.tool("create -q -b v1.qcow2 v2.qcow2").ok();
    qemu_io(&dir, "write -P 3 2M 1M", "v2.qcow2");
    dir.mkdir("tmp");
    dir
}

/// Returns `exec` of a shell script with the disk `A`.
pub fn exec(dir: &Dir, overlay: &str, script: &str) -> Command {
    let mut command = dir.command(tool());
    command.env_remove("TEST_TMPDIR");
    command.env("TMPDIR", dir.path("tmp"));
    command.args(["exec", "--disk", &format!("A={overlay}"), "--"]);
    command.args(["sh", "-e", "-c", script]);
    command
}

#[test]
fn qemu_reads_the_whole_chain_through_the_json() {
    let dir = chain_of_three();
    let hashes = || ["with, comma/node.img", "v1.qcow2", "v2.qcow2"].map(|f| sha256(&dir.read(f)));
    let before = hashes();
    // The content, read through the JSON and through the path.
    let script = "qemu-io -c 'write -P 4 3M 512K' \"json:$A_BLOCKDEV\" >&2
        qemu-img convert -O raw \"json:$A_BLOCKDEV\" json.img
        qemu-img convert -O raw \"$A\" path.img
        qemu-img check \"$A\"";
    Run::of(&mut exec(&dir, "v2.qcow2", script)).ok();
    let mut expected = vec![1; 4 << 20];
    expected[1 << 20..2 << 20].fill(2);
    expected[2 << 20..3 << 20].fill(3);
    expected[3 << 20..][..512 << 10].fill(4);
    assert!(dir.read("json.img") == expected);
    assert!(dir.read("path.img") == expected);
    assert!(hashes() == before);
}

#[test]
fn qemu_opens_what_the_tool_prints_for_any_image() {
    let dir = chain_of_three();
    dir.tool("clone v2.qcow2 disk.qcow2").ok();
    let hashes = || ["with, comma/node.img", "v1.qcow2", "v2.qcow2"].map(|f| sha256(&dir.read(f)));
    let before = hashes();
    let run = |script: &str| {
        let functions = "io() { qemu-io $3 -c \"$1\" \"json:$($TOOL blockdev $2)\"; }\nTOOL=$0\n";
        dir.shell(&format!("set -e\n{functions}{script}"))
    };
    run("io 'write -P 4 3M 64k' disk.qcow2
        io 'read -P 1 0 1M' '--read-only disk.qcow2' -r
        io 'read -P 2 1M 1M' '--read-only disk.qcow2' -r
        io 'read -P 3 2M 1M' '--read-only v2.qcow2' -r
        io 'read -P 4 3M 64k' '--read-only disk.qcow2' -r
        cp 'with, comma/node.img' raw.img
        io 'write -P 5 0 64k' raw.img
        qemu-io -r -f raw -c 'read -P 5 0 64k' raw.img")
    .ok();
    assert!(hashes() == before);
    let refused = run("io 'write -P 4 0 64k' '--read-only disk.qcow2'");
    assert!(refused.stderr.ends_with("Block node is read-only\n"));
    // As the value of --blockdev, with the longest name of letters that QEMU takes.
    let name = format!("a-._{}", "b".repeat(27));
    let script = format!(
        "qemu-storage-daemon --blockdev \"$($TOOL blockdev --node-name {name} disk.qcow2)\" \
         --nbd-server addr.type=unix,addr.path=nbd --export type=nbd,id=e,node-name={name} \
         --daemonize --pidfile pid
         qemu-io -r -f raw -c 'read -P 4 3M 64k' 'nbd+unix:///{name}?socket=nbd'
         kill $(cat pid)"
    );
    run(&script).ok();
}

#[test]
fn qemu_follows_no_name_in_an_image() {
    let dir = chain_of_three();
    // When QEMU opens the disk, the name in it leads nowhere.
    let script = "qemu-img rebase -u -F raw -b /nowhere \"$A\"
        qemu-io -r -c 'read -P 1 0 1M' -c 'read -P 2 1M 1M' \"json:$A_BLOCKDEV\"";
    Run::of(&mut exec(&dir, "v2.qcow2", script)).ok();
    dir.tool("create -q blank.qcow2 1M").ok();
    let script = "qemu-img rebase -u -F raw -b /nowhere \"$A\"
        qemu-io -r -c 'read -P 0 0 1M' \"json:$A_BLOCKDEV\"";
    Run::of(&mut exec(&dir, "blank.qcow2", script)).ok();
}

#[test]
fn a_kept_disk_becomes_one_file_even_where_its_base_has_moved() {
    let dir = Dir::new();
    dir.write("base.img", &[1; 1 << 20]);
    dir.tool("create -q -b base.img -F raw node.qcow2 2M").ok();
    dir.mkdir("outputs");
    let mut command = dir.command(tool());
    command.args([
        "exec",
        "--keep",
        "on_failure",
        "--disk",
        "A=node.qcow2",
        "--",
    ]);
    command.args(["sh", "-c", "qemu-io -c 'write -P 4 512K 1M' \"$A\"; exit 1"]);
    command.env("TEST_UNDECLARED_OUTPUTS_DIR", dir.path("outputs"));
    assert_eq!(Run::of(&mut command).status, Some(1));
    let kept = "outputs/disks/A.qcow2";
    let mut expected = vec![1; 1 << 20];
    expected.resize(2 << 20, 0);
    expected[512 << 10..1536 << 10].fill(4);

    dir.tool(&format!("convert -q -O raw {kept} one.img")).ok();
    assert!(dir.read("one.img") == expected);
    fs::rename(dir.path("base.img"), dir.path("moved.img")).expect("move");
    let gone = dir.tool(&format!("convert -q {kept} disk.qcow2"));
    assert_eq!(gone.status, Some(1), "{}", gone.stderr);
    let moved = dir.path("moved.img");
    dir.qemu_img(&format!("rebase -u -F raw -b {} {kept}", moved.display()));
    dir.tool(&format!("convert -q {kept} disk.qcow2")).ok();
    dir.qemu_img("compare one.img disk.qcow2");
    dir.check("disk.qcow2", "converted");
}

#[test]
fn a_storage_daemon_takes_the_json_as_blockdev() {
    let dir = chain_of_three();
    let script = "exec qemu-storage-daemon --blockdev \"$A_BLOCKDEV\" --chardev stdio,id=m \
                  --monitor chardev=m";
    let mut command = exec(&dir, "v2.qcow2", script);
    let mut daemon = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = daemon.stdin.take().expect("its input");
    let mut output = BufReader::new(daemon.stdout.take().expect("its output"));
    let mut ask = |command: &str| {
        use std::io::Write;
        writeln!(input, "{{\"execute\": \"{command}\"}}").expect("write");
        let mut line = String::new();
        while !line.contains("\"return\"") {
            line.clear();
            assert!(output.read_line(&mut line).expect("a line") > 0);
        }
        let answer: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        answer["return"].clone()
    };
    ask("qmp_capabilities");
    let nodes = ask("query-named-block-nodes");
    let nodes = nodes.as_array().expect("a list");
    ask("quit");
    assert!(daemon.wait().expect("a status").success());
    let disk = nodes.iter().find(|node| node["node-name"] == "A");
    assert_eq!(disk.expect("the disk")["ro"], false);
    // Four images, and a file for each.
    assert_eq!(nodes.len(), 8);
    let writable: Vec<_> = nodes.iter().filter(|node| node["ro"] == false).collect();
    assert_eq!(writable.len(), 2, "{nodes:?}");
    // The disk passes it on to its file.
    let ignores_flushes = |node: &&&serde_json::Value| node["cache"]["no-flush"] == true;
    assert_eq!(writable.iter().filter(ignores_flushes).count(), 2);
}

/// Runs commands of `qemu-io` on the disk `A` through a daemon that has it from `blockdev`, a
/// word of a shell script, and returns the space that the disk takes after each, in KiB.
fn usage_after(dir: &Dir, overlay: &str, blockdev: &str, commands: &[&str]) -> Vec<u32> {
    let start = format!(
        "qemu-storage-daemon --blockdev {blockdev} \
        --nbd-server addr.type=unix,addr.path=nbd \
        --export type=nbd,id=A,node-name=A,writable=on --daemonize --pidfile pid\n"
    );
    let each = commands.iter().map(|command| {
        format!("qemu-io -f raw -c '{command}' -c flush 'nbd+unix:///A?socket=nbd' >&2; du -k $A\n")
    });
    let script = format!("{start}{}kill $(cat pid)", each.collect::<String>());
    let said = Run::of(&mut exec(dir, overlay, &script)).ok();
    let size = |line: &str| line.split_whitespace().next()?.parse().ok();
    let sizes = said.lines().map(|line| size(line).expect("a size"));
    sizes.collect()
}

/// The tables of a disk take less, in KiB.
const TABLES: u32 = 512;

#[test]
fn a_disk_gives_back_the_space_that_a_guest_discards() {
    let dir = chain_of_three();
    let commands = ["write -P 9 0 2M", "write -P 0 0 2M", "discard 0 2M"];
    let sizes = usage_after(&dir, "v2.qcow2", "\"$A_BLOCKDEV\"", &commands);
    let [written, zeroed, discarded] = sizes[..] else {
        panic!("{sizes:?}");
    };
    // A write of zeros is a write: not every QEMU detects zeros without losing them.
    assert!(written > 2048 && zeroed > 2048, "{sizes:?}");
    assert!(discarded < TABLES, "{sizes:?}");
}

#[test]
fn a_user_can_have_zeros_detected() {
    let dir = chain_of_three();
    // As in rules/options.md.
    let blockdev = r#""${A_BLOCKDEV%?},\"detect-zeroes\":\"unmap\"}""#;
    let commands = ["write -P 9 0 2M", "write -P 0 0 2M"];
    let sizes = usage_after(&dir, "v2.qcow2", blockdev, &commands);
    let [written, zeroed] = sizes[..] else {
        panic!("{sizes:?}");
    };
    assert!(written > 2048 && zeroed < TABLES, "{sizes:?}");
}

#[test]
fn refuses_encrypted_and_external_images() {
    let dir = Dir::new();
    dir.qemu_img(&format!("create -q -f qcow2 {LUKS} luks.qcow2 1M"));
    dir.qemu_img("create -q -f qcow2 -o data_file=data.img external.qcow2 1M");
    for (overlay, problem) in [
        (
            "luks.qcow2",
            "is encrypted, and its key cannot be given here; decrypt it with qemu-img convert",
        ),
        (
            "external.qcow2",
            "has an external data file, which cannot be named here; make it one file with \
             qemu-img convert",
        ),
    ] {
        let path = fs::canonicalize(dir.path(overlay)).expect("a path");
        dir.tool(&format!("exec --disk A={overlay} -- true"))
            .fails(1, &format!("disk A: {overlay:?}: {path:?} {problem}"));
    }
}

#[test]
fn a_copy_keeps_what_a_killed_qemu_wrote() {
    let dir = Dir::new();
    dir.sparse("vars", 1 << 20);
    dir.tool("create -q -b vars -F raw vars.qcow2").ok();
    dir.mkdir("tmp");
    // No flush, as of pflash. QEMU is killed when the data is in the file.
    let script = "qemu-io -c 'write -q -P 7 0 4k' -c 'sleep 1000000' \"json:$IMAGE\" &
        pid=$!
        until grep -qaP '\\x07{4096}' $FILE; do kill -0 $pid; sleep 0.01; done
        kill -9 $pid
        wait $pid || test $? = 137
        qemu-io -r -c \"read -q -P $EXPECTED 0 4k\" \"json:$IMAGE\"";
    let run = |fixture: &[&str; 2], variables: &str| {
        let mut command = dir.command(tool());
        command.env_remove("TEST_TMPDIR");
        command.env("TMPDIR", dir.path("tmp"));
        let script = format!("{variables}\n{script}");
        command.arg("exec").args(fixture).arg("--");
        Run::of(command.args(["sh", "-e", "-c", &script])).ok()
    };
    let raw = "FILE=$VARS EXPECTED=7 IMAGE='{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\
               \"filename\":\"'$VARS'\"}}'";
    let said = run(&["--copy", "VARS=vars"], raw);
    assert_eq!(said, "", "the copy has lost it");
    // The mapping of a new cluster is still in the memory of QEMU.
    let overlay = "FILE=$VARS EXPECTED=0 IMAGE=$VARS_BLOCKDEV";
    let said = run(&["--disk", "VARS=vars.qcow2"], overlay);
    assert_eq!(said, "", "a disk keeps it too: then a copy is needless");
    assert!(dir.read("vars").iter().all(|byte| *byte == 0));
}

#[test]
fn concurrent_commands_share_a_base() {
    let dir = chain_of_three();
    let script = |n| {
        format!(
            "qemu-io -c 'write -P {n} 0 1M' -c 'sleep 300' -c 'read -P {n} 0 1M' \
             \"json:$A_BLOCKDEV\""
        )
    };
    let start = |n: u32| {
        let mut command = exec(&dir, "v2.qcow2", &script(n));
        command.stdout(Stdio::piped()).spawn().expect("it starts")
    };
    let children: Vec<_> = (5..8).map(start).collect();
    for child in children {
        let output = child.wait_with_output().expect("its output");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
}

/// Returns `exec` as `bazel test` runs it, which keeps an image of the disk `A` in the directory
/// `outputs`, and prints what the tool says there.
fn keep_image(dir: &Dir, script: &str) -> String {
    dir.mkdir("outputs");
    let mut command = dir.command(tool());
    command.env("TEST_TMPDIR", dir.path("tmp"));
    command.env("TEST_UNDECLARED_OUTPUTS_DIR", dir.path("outputs"));
    command.args(["exec", "--keep", "always", "--keep-as", "image"]);
    command.args(["--disk", "A=v2.qcow2", "--", "sh", "-e", "-c", script]);
    let run = Run::of(&mut command);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run.stderr
}

#[test]
fn qemu_reads_a_kept_image_without_its_base() {
    let dir = chain_of_three();
    let script = "qemu-io -c 'write -P 4 3M 512K' \"json:$A_BLOCKDEV\"
        qemu-img convert -O raw \"$A\" before.img";
    keep_image(&dir, script);
    fs::remove_dir_all(dir.path("with, comma")).expect("remove");
    let script = "qemu-img check outputs/disks/A.qcow2 &&
        qemu-img compare outputs/disks/A.qcow2 before.img &&
        qemu-io -c 'write -P 5 0 64K' -c 'read -P 4 3M 64K' outputs/disks/A.qcow2";
    dir.shell(script).ok();
}

#[test]
fn a_disk_with_snapshots_is_kept_as_an_overlay() {
    let dir = chain_of_three();
    let said = keep_image(&dir, "qemu-img snapshot -c mark \"$A\"");
    let end = "the disk A is kept as an overlay: it has internal snapshots, which an image of its \
               content would lack\n";
    assert!(said.ends_with(end), "{said}");
    let script = "qemu-img snapshot -l outputs/disks/A.qcow2 | grep mark";
    dir.shell(script).ok();
}
