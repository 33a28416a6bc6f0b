//! The README.txt beside kept disks.

use std::fmt::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use qcow2_overlay::{write_file, Existing};

use crate::cli::disks::fresh_disks::Disk;

/// Writes README.txt: an overlay needs its base. A copy needs nothing.
pub fn write_note(directory: &Path, disks: &[Disk], existing: Existing) -> Result<()> {
    if disks.is_empty() {
        return Ok(());
    }
    let path = directory.join("README.txt");
    let text = note(disks);
    let written = write_file(&path, existing, |file| {
        Ok(file.write_all_at(text.as_bytes(), 0)?)
    });
    written.with_context(|| format!("cannot write {path:?}"))
}

fn note(disks: &[Disk]) -> String {
    let mut note = String::from(
        "Disks of a test. Each is listed with its backing files: format, path, length, and\n\
         modification time as `stat -c '%s %.9Y' PATH` prints them.\n\n",
    );
    for Disk {
        name,
        backing_chain,
        ..
    } in disks
    {
        let _ = writeln!(note, "{name}.qcow2");
        for image in backing_chain {
            let (path, state) = (image.path.display(), image.file_state());
            let _ = writeln!(note, "  on {} {path}, {state}", image.format);
        }
        if backing_chain.is_empty() {
            note.push_str("  needs no other file\n");
        }
    }
    if disks.iter().any(|disk| !disk.backing_chain.is_empty()) {
        note.push_str(
            "\nA disk needs these files, unchanged: `qcow2-overlay info --backing-chain DISK` shows \
             them and\nsays whether one has changed. If the first was moved, store its new \
             path:\n  qemu-img rebase -u -F FORMAT -b PATH DISK\n\
             If one was built again, with the same content but another time:\n  \
             qcow2-overlay convert --allow-changed-base DISK disk.qcow2\n",
        );
    }
    note.push_str(
        "\nTo look into a disk without changing it:\n  \
         qcow2-overlay convert DISK disk.qcow2             makes one file of it and its base\n  \
         qcow2-overlay convert -O raw DISK disk.img        the same, for `losetup -P` and mount\n  \
         qemu-nbd --read-only --connect /dev/nbd0 DISK     makes it a block device\n  \
         guestmount --ro -i -a DISK DIRECTORY              shows its files\n  \
         qemu-system-x86_64 -snapshot DISK                 boots it; what the guest writes is lost\n",
    );
    note
}
