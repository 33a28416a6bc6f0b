//! `info`, `clone` and `exec` notice when a backing file has changed since the disk was written.

use std::fs::{self, FileTimes};
use std::time::{Duration, SystemTime};

use qcow2_overlay::{chain, Extension, Record};

use crate::common::Dir;

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
    let stamps = header.stamps().expect("a record").expect("stamps");
    assert_eq!(stamps.len(), 3);
    for (stamp, name) in stamps.iter().zip(["v2.qcow2", "v1.qcow2", "node.img"]) {
        let found = fs::metadata(dir.path(name)).expect("metadata");
        assert_eq!(stamp.length, found.len());
        let since = SystemTime::UNIX_EPOCH;
        let since = found.modified().expect("a time").duration_since(since);
        let since = since.expect("after 1970");
        assert_eq!(stamp.seconds as u64, since.as_secs());
        assert_eq!(stamp.nanoseconds, since.subsec_nanos());
    }
    assert_eq!(Record::of(&images), Record::Unchanged);
}

#[test]
fn create_writes_no_record() {
    let dir = disk();
    let images = chain(&dir.path("v2.qcow2"), None).expect("a chain");
    let header = images[0].header.as_ref().expect("a header");
    assert_eq!(header.extension(Extension::BASE_STAMPS), None);
    assert_eq!(Record::of(&images), Record::Missing);
    let json = dir.tool("info --output json v2.qcow2").ok();
    assert!(!json.contains("backing-record"));
}

#[test]
fn a_change_anywhere_in_the_chain_is_noticed() {
    for name in ["v2.qcow2", "v1.qcow2", "node.img"] {
        for change in ["time", "length"] {
            let dir = disk();
            let info = dir.tool("info disk.qcow2").ok();
            assert!(!info.contains("warning"), "{info}");
            let json = dir.tool("info --output json disk.qcow2").ok();
            let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            let unchanged = serde_json::json!({"state": "unchanged"});
            assert_eq!(value["backing-record"], unchanged);

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
            let base = real(&dir, name);
            let warning = format!(
                "warning: {base} has changed since this image was written; this disk no longer \
                 matches its base\n"
            );
            let info = dir.tool("info disk.qcow2").ok();
            assert!(info.contains(&warning), "{info}");
            let json = dir.tool("info --output json disk.qcow2").ok();
            let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            assert_eq!(value["backing-record"]["state"], "changed");
            assert_eq!(format!("{}", value["backing-record"]["filename"]), base);

            let problem = format!(
                "\"disk.qcow2\": its base {base} has changed since \"disk.qcow2\" was written, \
                 so the disk no longer matches its base; recreate it from the overlay it was \
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
fn clone_says_if_the_existing_disk_is_stale() {
    let dir = disk();
    dir.tool("clone v2.qcow2 disk.qcow2").ok(); // it is there already
    touch(&dir, "node.img", Duration::from_secs(1));
    let message = format!(
        "\"disk.qcow2\" exists, and its base {} has changed since it was written; \
         --force replaces it, and what was written to it is lost",
        real(&dir, "node.img")
    );
    dir.tool("clone v2.qcow2 disk.qcow2").fails(1, &message);
    dir.tool("clone --force v2.qcow2 disk.qcow2").ok();
    let again = dir.tool("clone v2.qcow2 disk.qcow2").ok();
    assert!(again.contains("is there already"), "{again}");
}

#[test]
fn clone_refuses_a_disk_whose_record_it_cannot_read() {
    let dir = disk();
    let mut bytes = dir.read("disk.qcow2");
    let start = bytes.windows(4).position(|window| window == b"RQ2B");
    bytes[start.expect("the record") + 11] = 2; // its version
    dir.write("disk.qcow2", &bytes);
    let problem = "corrupt qcow2 image: version of the record of bases is 2 (0x2)";
    let info = dir.tool("info disk.qcow2").ok();
    assert!(info.contains(&format!("warning: {problem}\n")), "{info}");
    let json = dir.tool("info --output json disk.qcow2").ok();
    assert!(json.contains("\"state\": \"unknown\""), "{json}");
    dir.tool("clone disk.qcow2 other.qcow2").fails(
        1,
        &format!(
            "\"disk.qcow2\": {problem} in \"disk.qcow2\", so its base may have changed; \
             recreate it from the overlay it was cloned from"
        ),
    );
}

#[test]
fn info_describes_a_disk_whose_base_is_missing() {
    let dir = disk();
    fs::remove_file(dir.path("node.img")).expect("remove");
    let info = dir.tool("info disk.qcow2").ok();
    assert!(info.contains("\nwarning: in "), "{info}");
    assert!(info.contains("No such file or directory"), "{info}");
}

#[test]
fn clone_refuses_a_link_that_leads_to_another_base() {
    // v1.qcow2 is backed by one node.img through the link, and by another by its real path.
    let dir = Dir::new();
    fs::create_dir(dir.path("real")).expect("mkdir");
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
