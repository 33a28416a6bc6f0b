//! Replacing kept disks by images that need no other file.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Result};
use qcow2_overlay::{chain, CompressionType, Conversion, Existing, Format, ImageInfo, Options};

use crate::cli::advice::{message, About, Role};
use crate::cli::bazel::kept_note::write_note;
use crate::cli::disks::fresh_disks::Disk;
use crate::cli::messages::say;

/// How long to wait for processes that have a disk open. A signal that ends COMMAND often goes to
/// its QEMU too, which takes longer to end. Bazel waits 15 seconds for a test that has timed out.
const PATIENCE: Duration = Duration::from_secs(3);

/// Replaces each disk by one compressed image of it and its base, and README.txt by one about
/// these. A disk remains what it is until its image is complete: if that cannot be written, or if
/// Bazel kills this process, its overlay is still there.
pub fn replace_by_images(disks: &mut [Disk]) {
    let deadline = Instant::now() + PATIENCE;
    for index in 0..disks.len() {
        let disk = &mut disks[index];
        if let Err(error) = replace(&disk.path, deadline) {
            let about = format!("the disk {} is kept as an overlay", disk.name);
            say(&message(&error.context(About::new(Role::Source, about))));
            continue;
        }
        disk.backing_chain.clear();
        let directory = disk.path.parent().map(Path::to_owned).unwrap_or_default();
        if let Err(error) = write_note(&directory, disks, Existing::Replace) {
            say(&format!("{error:#}"));
        }
    }
}

fn replace(disk: &Path, deadline: Instant) -> Result<()> {
    let images = closed(disk, deadline)?;
    if images[0].is_marked_corrupt() {
        bail!("QEMU has marked it as corrupt, which an image of its content would not show");
    }
    if !images[0].bitmaps()?.is_empty() {
        bail!("it has bitmaps, which an image of its content would lack");
    }
    if !images[0].snapshots()?.is_empty() {
        bail!("it has internal snapshots, which an image of its content would lack");
    }
    // Every QEMU since 5.1 reads zstd. With deflate, a test would end much later.
    let options = Options::default().compression_type(CompressionType::Zstd);
    let conversion = Conversion::to_qcow2(options).compressed(true);
    // Not Existing::Replace, which waits until the image is on the disk.
    let image = disk.with_extension("image");
    conversion.write_file(&images, &image)?;
    fs::rename(&image, disk).inspect_err(|_| {
        let _ = fs::remove_file(&image);
    })?;
    Ok(())
}

/// Returns the chain of a disk that no process has open, at least from `deadline` on.
fn closed(disk: &Path, deadline: Instant) -> Result<Vec<ImageInfo>> {
    loop {
        let images = chain(disk, Some(Format::Qcow2))?;
        if !images[0].is_in_use()? {
            return Ok(images);
        }
        if Instant::now() > deadline {
            bail!("a process that COMMAND started still has it open");
        }
        thread::sleep(Duration::from_millis(20));
    }
}
