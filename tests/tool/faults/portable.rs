//! A build with `--cfg portable` does what the tool does on macOS: see src/image/system.rs.

use std::os::unix::fs::FileExt;

use crate::common::Dir;
use crate::system_calls;

/// On macOS these do not exist, or do something else, as lseek(2) with SEEK_DATA.
const LINUX: [&str; 5] = [
    "copy_file_range",
    "F_SETLEASE",
    "O_TMPFILE",
    "SEEK_DATA",
    "SEEK_HOLE",
];

#[test]
fn nothing_is_used_that_only_linux_has() {
    for arguments in [
        &["create", "-q", "-b", "base.raw", "x"][..],
        &["create", "-q", "--force", "old.qcow2", "1M"],
        &["convert", "-q", "base.raw", "x"],
        &["convert", "-q", "-O", "raw", "base.raw", "x"],
        &["convert", "-q", "-B", "base.raw", "other.raw", "x"],
        &["clone", "old.qcow2", "x"],
        &["exec", "--disk", "A=old.qcow2", "--", "true"],
        &["provision", "-q", "-b", "base.raw", "x", "--", "true"],
    ] {
        let dir = Dir::new();
        dir.mkdir("tmp");
        for name in ["base.raw", "other.raw"] {
            // Data, a hole, data.
            dir.write(name, &[1; 64 << 10]);
            let file = std::fs::File::options().write(true).open(dir.path(name));
            let file = file.expect("a file");
            file.write_all_at(&[2; 64 << 10], 1 << 20).expect("write");
        }
        dir.tool("create -q -b base.raw old.qcow2").ok();
        for call in system_calls(&dir, arguments) {
            for linux in LINUX {
                let is_used = call.name == linux || call.arguments.contains(linux);
                assert!(!is_used, "{arguments:?}: {call:?}");
            }
        }
    }
}
