//! Replacing kept disks by images that need no other file.

use std::fs;
use std::path::Path;

use anyhow::{bail, Result};
use qcow2_overlay::{chain, CompressionType, Conversion, Existing, Format, Options};

use crate::cli::advice::{message, About, Role};
use crate::cli::bazel::kept_note::write_note;
use crate::cli::disks::fresh_disks::Disk;
use crate::cli::messages::say;

/// Replaces each disk by one compressed image of it and its base, and README.txt by one about
/// these. A disk remains what it is until its image is complete: if that cannot be written, or if
/// Bazel kills this process, its overlay is still there.
pub fn replace_by_images(disks: &mut [Disk]) {
    for index in 0..disks.len() {
        let disk = &mut disks[index];
        if let Err(error) = replace(&disk.path) {
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

fn replace(disk: &Path) -> Result<()> {
    let images = chain(disk, Some(Format::Qcow2))?;
    if !images[0].snapshots()?.is_empty() {
        bail!("it has internal snapshots, which an image of its content would lack");
    }
    // Every QEMU since 5.1 reads zstd. With deflate, a test would end much later.
    let options = Options::default().compression_type(CompressionType::Zstd);
    let conversion = Conversion::to_qcow2(options).compressed(true);
    // Not Existing::Replace, which waits until the image is on the disk: Bazel waits 15 seconds
    // for a test that has timed out.
    let image = disk.with_extension("image");
    conversion.write_file(&images, &image)?;
    fs::rename(&image, disk).inspect_err(|_| {
        let _ = fs::remove_file(&image);
    })?;
    Ok(())
}
