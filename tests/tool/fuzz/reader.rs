//! What must hold for the reader of guest data, for any images.
#![allow(dead_code)] // no fuzz target uses everything

use qcow2_overlay::{Content, DiskReader, Header, Storage, SECTOR};

use crate::model::{find, read, Image, Truth};

/// How many extents are checked, so that no input takes long.
const MAX_EXTENTS: usize = 10;
/// How many sectors of an extent are checked.
const SAMPLES: u64 = 4;
/// How many bytes are read around the end of an extent.
const AROUND: u64 = 700;

/// Checks the reader with any bytes: two are the length of the first image, and the rest, if any,
/// backs it.
pub fn reader(bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let length = usize::from(u16::from_be_bytes(*length)).min(bytes.len());
    let (top, base) = bytes.split_at(length);
    let images = [top, base].map(|bytes| Image {
        storage: bytes.to_vec(),
        header: Header::read(&mut &bytes[..]).ok(),
    });
    if base.is_empty() {
        check(&images[..1], &[])
    } else {
        check(&images, &[])
    }
}

/// Compares the reader of `images`, the topmost first, with the [model](crate::model), from the
/// start of the disk and from each of `starts` on.
pub fn check<S: Storage + Clone>(images: &[Image<S>], starts: &[u64]) {
    let pairs = images
        .iter()
        .map(|i| (i.storage.clone(), i.header.as_ref()));
    let disk = match DiskReader::new(pairs) {
        Ok(disk) => disk,
        Err(error) => {
            assert!(images.iter().any(is_refused), "{error}");
            return;
        }
    };
    assert!(!images.iter().any(is_refused));
    assert_eq!(disk.virtual_size(), images[0].size());
    assert_eq!(disk.depth(), images.len());
    for depth in 1..=images.len() {
        let mut left = MAX_EXTENTS;
        for &start in starts.iter().chain(&[0]) {
            let mut offset = start;
            for _ in 0..left.div_ceil(2) {
                if offset >= disk.virtual_size() {
                    break;
                }
                let end = offset + extent(&disk, images, offset, depth);
                if depth == images.len() {
                    content(&disk, images, end.saturating_sub(AROUND / 2), AROUND);
                }
                offset = end;
                left -= 1;
            }
        }
    }
}

/// Returns whether the reader must refuse an image.
fn is_refused<S: Storage>(image: &Image<S>) -> bool {
    image.header.as_ref().is_some_and(|header| {
        header.encryption != 0
            || header.has_incompatible(Header::EXTERNAL_DATA)
            || header.check_file_length(image.storage.length()).is_err()
    })
}

/// Checks the extent at `offset`, and returns its length or, if it is an error, how far to skip.
fn extent<S: Storage>(disk: &DiskReader<S>, images: &[Image<S>], offset: u64, depth: usize) -> u64 {
    let (truth, _) = find(images, offset, depth);
    let extent = match disk.extent(offset, depth) {
        Ok(extent) => extent,
        Err(error) => {
            let is_known = matches!(truth, Truth::Corrupt | Truth::Doubtful);
            assert!(is_known, "at {offset}: {error}, but {truth:?}");
            let header = images[0].header.as_ref();
            let step = header.map_or(SECTOR, Header::cluster_size);
            return step - offset % step;
        }
    };
    assert!(extent.length > 0 && extent.length <= disk.virtual_size() - offset);
    let step = (extent.length / SAMPLES).max(SECTOR);
    let samples = (0..extent.length).step_by(step as usize);
    for skipped in samples.chain([extent.length - 1]) {
        let expected = match extent.content {
            Content::Data {
                image,
                offset: Some(offset),
            } => Content::Data {
                image,
                offset: Some(offset + skipped),
            },
            other => other,
        };
        match find(images, offset + skipped, depth) {
            (Truth::Doubtful, _) => {}
            (truth, image) => assert_eq!(
                truth.content(image),
                Some(expected),
                "{skipped} bytes into {extent:?} at {offset}"
            ),
        }
    }
    extent.length
}

/// Checks what the reader reads from `start` on, at once and in two parts.
pub fn content<S: Storage>(disk: &DiskReader<S>, images: &[Image<S>], start: u64, length: u64) {
    let end = (start + length).min(disk.virtual_size());
    let start = start.min(end);
    let mut bytes = vec![0x55; (end - start) as usize];
    let done = disk.read_at(&mut bytes, start);

    let (mut is_corrupt, mut is_doubtful) = (false, false);
    let mut at = start;
    while at < end {
        let next = (at / SECTOR * SECTOR + SECTOR).min(end);
        let found = &bytes[(at - start) as usize..(next - start) as usize];
        let mut expected = [0; SECTOR as usize];
        let expected = &mut expected[..found.len()];
        match read(images, expected, at) {
            Err(()) => is_corrupt = true,
            Ok(None) => is_doubtful = true,
            Ok(Some(())) => assert!(done.is_err() || found == expected, "bytes at {at}"),
        }
        at = next;
    }
    match &done {
        Ok(()) => assert!(!is_corrupt, "{start} to {end} is corrupt"),
        Err(error) => assert!(is_corrupt || is_doubtful, "{start} to {end}: {error}"),
    }

    let middle = bytes.len() / 3;
    let mut parts = vec![0xaa; bytes.len()];
    let (one, other) = parts.split_at_mut(middle);
    let one = disk.read_at(one, start);
    let other = disk.read_at(other, start + middle as u64);
    assert_eq!(one.is_ok() && other.is_ok(), done.is_ok());
    assert!(done.is_err() || parts == bytes);
}
