//! `info`, `clone`, `exec` and `convert` notice when a backing file has changed since the disk
//! was written.

use std::fs::{self, FileTimes};
use std::time::{Duration, SystemTime};

use qcow2_overlay::{chain, BackingState, Extension};

use crate::common::{Dir, Run};
use crate::convert::data;

/// Returns a chain of three images, and `disk.qcow2`, a clone that is backed by all of them.
fn disk() -> Dir {
    let dir = Dir::new();
    dir.sparse("node.img", 1 << 20);
    dir.tool("create -q -b node.img v1.qcow2").ok();
    dir.tool("create -q -b v1.qcow2 v2.qcow2").ok();
    dir.give_data("v2.qcow2");
    dir.tool("clone v2.qcow2 disk.qcow2").ok();
    dir
}

/// Moves the time of modification `by` a duration.
fn touch(dir: &Dir, name: &str, by: Duration) {
    let file = fs::File::options().append(true).open(dir.path(name));
    let file = file.expect("open");
    let modified = file.metadata().and_then(|found| found.modified());
    let times = FileTimes::new().set_modified(modified.expect("a time") + by);
    file.set_times(times).expect("set times");
}

/// Returns the length and the modification time of a file.
fn stat(dir: &Dir, name: &str) -> [String; 2] {
    let said = Run::of(dir.command("stat").args(["-c", "%s %.9Y", name])).ok();
    let mut words = said.split_whitespace().map(str::to_owned);
    [(); 2].map(|()| words.next().expect("a word"))
}

/// Returns the quoted real path of a file.
fn real(dir: &Dir, name: &str) -> String {
    let path = fs::canonicalize(dir.path(name)).expect("a path");
    format!("{path:?}")
}

#[test]
fn the_record_has_a_stamp_for_each_backing_file() {
    let dir = disk();
    let images = chain(&dir.path("disk.qcow2"), None).expect("a chain");
    let header = images[0].header.as_ref().expect("a header");
    let states = header
        .backing_file_states()
        .expect("a record")
        .expect("states");
    assert_eq!(states.len(), 3);
    for (state, name) in states.iter().zip(["v2.qcow2", "v1.qcow2", "node.img"]) {
        let found = fs::metadata(dir.path(name)).expect("metadata");
        assert_eq!(state.length, found.len());
        let since = SystemTime::UNIX_EPOCH;
        let since = found.modified().expect("a time").duration_since(since);
        let since = since.expect("after 1970");
        assert_eq!(state.seconds as u64, since.as_secs());
        assert_eq!(state.nanoseconds, since.subsec_nanos());
    }
    assert_eq!(BackingState::of(&images), BackingState::Unchanged);
}

#[test]
fn create_writes_no_record() {
    let dir = disk();
    let images = chain(&dir.path("v2.qcow2"), None).expect("a chain");
    let header = images[0].header.as_ref().expect("a header");
    assert_eq!(header.extension(Extension::BACKING_FILE_STATES), None);
    assert_eq!(BackingState::of(&images), BackingState::NotRecorded);
    let json = dir.tool("info --output json v2.qcow2").ok();
    assert!(!json.contains("backing-record"));
}

#[test]
fn a_change_anywhere_in_the_chain_is_noticed() {
    for name in ["v2.qcow2", "v1.qcow2", "node.img"] {
        for change in ["time", "length"] {
            let dir = disk();
            let info = dir.tool("info --backing-chain disk.qcow2").ok();
            assert!(!info.contains("warning"), "{info}");
            let record = |dir: &Dir| {
                let info = "info --backing-chain --output json disk.qcow2";
                let value: serde_json::Value =
                    serde_json::from_str(&dir.tool(info).ok()).expect("JSON");
                value[0]["backing-record"].clone()
            };
            assert_eq!(record(&dir), serde_json::json!({"state": "unchanged"}));

            let before = stat(&dir, name);
            match change {
                "time" => touch(&dir, name, Duration::from_nanos(1)),
                _ => {
                    let found = fs::metadata(dir.path(name)).expect("metadata");
                    let file = fs::File::options().append(true).open(dir.path(name));
                    let file = file.expect("open");
                    file.set_len(found.len() + 512).expect("set length");
                    let modified = found.modified().expect("a time");
                    let times = FileTimes::new().set_modified(modified);
                    file.set_times(times).expect("set times");
                }
            }
            let [old, new] = [before, stat(&dir, name)];
            let what = match change {
                "time" => format!("modified at {}, recorded {}", new[1], old[1]),
                _ => format!("its length was {} bytes, now {}", old[0], new[0]),
            };
            let base = real(&dir, name);
            let warning = format!(
                "warning: {base} has changed since this image was written ({what}), so this disk \
                 may not match it\n"
            );
            let info = dir.tool("info --backing-chain disk.qcow2").ok();
            assert!(info.contains(&warning), "{info}");
            let record = record(&dir);
            assert_eq!(record["state"], "changed");
            assert_eq!(format!("{}", record["filename"]), base);

            let problem = format!(
                "\"disk.qcow2\": its base {base} has changed since \"disk.qcow2\" was written \
                 ({what}), so the disk may not match it: recreate it from the overlay it was \
                 cloned from"
            );
            dir.tool("clone disk.qcow2 other.qcow2").fails(1, &problem);
            let exec = dir.tool("exec --disk A=disk.qcow2 -- true");
            exec.fails(1, &format!("disk A: {problem}"));
            // An overlay of such a disk is refused too.
            dir.tool("create -q -u -b disk.qcow2 -F qcow2 top.qcow2 1M")
                .ok();
            let problem = problem.replace("\"disk.qcow2\"", "\"top.qcow2\"");
            let problem = problem.replace("since \"top.qcow2\"", "since \"disk.qcow2\"");
            dir.tool("clone top.qcow2 other.qcow2").fails(1, &problem);
        }
    }
}

#[test]
fn info_alone_does_not_look_at_the_backing_files() {
    let dir = disk();
    let unchanged = dir.tool("info disk.qcow2").ok();
    dir.remove("node.img");
    assert_eq!(dir.tool("info disk.qcow2").ok(), unchanged);
    let json = dir.tool("info --output json disk.qcow2").ok();
    assert!(!json.contains("backing-record"), "{json}");
}

#[test]
fn convert_reads_a_disk_whose_base_was_rebuilt_if_it_is_told_to() {
    let dir = Dir::new();
    dir.write("node.img", &data(1 << 20));
    dir.tool("create -q -b node.img node.qcow2").ok();
    dir.tool("clone node.qcow2 disk.qcow2").ok();
    dir.tool("convert -q -O raw disk.qcow2 before.raw").ok();
    let before = stat(&dir, "node.img");
    dir.write("node.img", &data(1 << 20));
    touch(&dir, "node.img", Duration::from_secs(1));
    let after = stat(&dir, "node.img");
    dir.tool("convert disk.qcow2 x").fails(
        1,
        &format!(
            "cannot convert \"disk.qcow2\" to \"x\": its base {} has changed since \
             \"disk.qcow2\" was written (modified at {}, recorded {}), so the disk may not match \
             it: if its content is still the same, as after a rebuild, --allow-changed-base reads \
             the disk; if not, the disk cannot be restored",
            real(&dir, "node.img"),
            after[1],
            before[1],
        ),
    );
    assert!(!dir.path("x").exists());
    dir.tool("convert -q --allow-changed-base -O raw disk.qcow2 after.raw")
        .ok();
    assert!(dir.read("after.raw") == dir.read("before.raw"));
}

#[test]
fn convert_makes_no_other_exception_for_a_changed_base() {
    let convert = "convert --allow-changed-base disk.qcow2 x";
    // A base that is larger than a disk without data, and one that is not raw.
    let dir = disk();
    dir.sparse("node.img", 2 << 20);
    let run = dir.tool(convert);
    assert!(run.stderr.contains("cuts off the end of"), "{}", run.stderr);
    assert_eq!(run.status, Some(1));
    dir.write("node.img", b"KDMV");
    let run = dir.tool(convert);
    assert!(run.stderr.contains("it is a VMDK image"), "{}", run.stderr);
    assert_eq!(run.status, Some(1));
    // A changed base of the new image, whose overlay would be refused later.
    let dir = disk();
    touch(&dir, "node.img", Duration::from_secs(1));
    let run = dir.tool("convert --allow-changed-base -B disk.qcow2 node.img x");
    assert!(run.stderr.contains("recreate it from"), "{}", run.stderr);
    assert_eq!(run.status, Some(1));
    assert!(!dir.path("x").exists());
}

#[test]
fn clone_says_if_the_existing_disk_is_stale() {
    let dir = disk();
    dir.tool("clone v2.qcow2 disk.qcow2").ok(); // it is there already
    let before = stat(&dir, "node.img");
    touch(&dir, "node.img", Duration::from_secs(1));
    let message = format!(
        "\"disk.qcow2\" exists, and its base {} has changed since it was written (modified at {}, \
         recorded {}); --force replaces it, and what was written to it is lost",
        real(&dir, "node.img"),
        stat(&dir, "node.img")[1],
        before[1],
    );
    dir.tool("clone v2.qcow2 disk.qcow2").fails(1, &message);
    dir.tool("clone --force v2.qcow2 disk.qcow2").ok();
    let again = dir.tool("clone v2.qcow2 disk.qcow2").ok();
    assert!(again.contains("is there already"), "{again}");
}

#[test]
fn a_record_that_cannot_be_read_is_one_that_does_not_match() {
    let dir = disk();
    let mut bytes = dir.read("disk.qcow2");
    let start = bytes.windows(4).position(|window| window == b"RQ2B");
    bytes[start.expect("the record") + 11] = 2; // its version
    dir.write("disk.qcow2", &bytes);
    let problem = "corrupt qcow2 image: version of the record of bases is 2 (0x2)";
    let info = dir.tool("info --backing-chain disk.qcow2").ok();
    assert!(info.contains(&format!("warning: {problem}\n")), "{info}");
    let json = dir
        .tool("info --backing-chain --output json disk.qcow2")
        .ok();
    assert!(json.contains("\"state\": \"unknown\""), "{json}");
    let problem = format!("{problem} in \"disk.qcow2\", so its base may have changed:");
    dir.tool("clone disk.qcow2 other.qcow2").fails(
        1,
        &format!("\"disk.qcow2\": {problem} recreate it from the overlay it was cloned from"),
    );
    let run = dir.tool("convert disk.qcow2 x");
    assert!(run.stderr.contains(&problem), "{}", run.stderr);
    assert!(
        run.stderr.contains("--allow-changed-base reads the disk"),
        "{}",
        run.stderr
    );
    dir.tool("convert -q --allow-changed-base disk.qcow2 x")
        .ok();
}

#[test]
fn another_number_of_backing_files_is_a_change() {
    // The first of the three files loses those below it, but keeps its length and time.
    let dir = disk();
    let found = fs::metadata(dir.path("v2.qcow2")).expect("metadata");
    let mut bytes = dir.read("v2.qcow2");
    bytes[8..20].fill(0); // offset and length of the name of the backing file
    dir.write("v2.qcow2", &bytes);
    let file = fs::File::options().append(true).open(dir.path("v2.qcow2"));
    let times = FileTimes::new().set_modified(found.modified().expect("a time"));
    file.expect("open").set_times(times).expect("set times");
    let info = dir.tool("info --backing-chain disk.qcow2").ok();
    let what = "has changed since this image was written (the number of backing files is another \
                one), so";
    assert!(info.contains(what), "{info}");
}

#[test]
fn clone_refuses_a_link_that_leads_to_another_base() {
    // v1.qcow2 is backed by one node.img through the link, and by another by its real path.
    let dir = Dir::new();
    dir.mkdir("real");
    dir.sparse("node.img", 1 << 20);
    dir.sparse("real/node.img", 1 << 20);
    dir.tool("create -q -b node.img real/v1.qcow2").ok();
    std::os::unix::fs::symlink("real/v1.qcow2", dir.path("v1.qcow2")).expect("symlink");
    dir.tool("create -q -b v1.qcow2 v2.qcow2").ok();
    dir.tool("clone v2.qcow2 disk.qcow2").fails(
        1,
        &format!(
            "\"v2.qcow2\": its base is \"node.img\" by the path given, but {} by its real path \
             {}; symbolic links must not separate an overlay from its base",
            real(&dir, "real/node.img"),
            real(&dir, "real/v1.qcow2"),
        ),
    );
}
