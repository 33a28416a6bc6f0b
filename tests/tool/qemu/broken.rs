//! `info` of corrupt images: one line, never a panic.

use std::io::Cursor;

use qcow2_overlay::{Bitmap, Header, Snapshot};

use crate::common::{Dir, Run};
use crate::info::{entry, extension, patch, same};

/// Creates and returns an image of clusters of 512 bytes with two snapshots and two bitmaps.
fn full_of_tables(dir: &Dir) -> Vec<u8> {
    dir.qemu_img("create -q -f qcow2 -o cluster_size=512 disk.qcow2 64K");
    for name in ["one", "two"] {
        dir.qemu_img(&format!("snapshot -c {name} disk.qcow2"));
        dir.qemu_img(&format!("bitmap --add disk.qcow2 bitmap-{name}"));
    }
    dir.read("disk.qcow2")
}

/// Checks that `info` refuses `image` with `value` at `offset` in a line that says `problem`, and
/// returns what `qemu-img info` did.
#[track_caller]
fn refused(dir: &Dir, image: &[u8], offset: usize, value: u8, problem: &str) -> Run {
    dir.write("broken.qcow2", image);
    patch(dir, "broken.qcow2", offset, &[value]);
    let ours = dir.tool("info broken.qcow2");
    assert_eq!(ours.status, Some(1), "{problem}");
    assert_eq!(ours.stderr.lines().count(), 1, "{}", ours.stderr);
    assert!(ours.stderr.contains(problem), "{problem}: {}", ours.stderr);
    dir.try_qemu_img("info broken.qcow2")
}

#[test]
fn refuses_in_one_line_what_qemu_img_refuses() {
    let dir = Dir::new();
    let image = full_of_tables(&dir);
    same(&dir, "disk.qcow2");
    let header = Header::parse(&image).expect("a header");
    let snapshots = header.snapshots_offset as usize;
    let extension = extension(&image);
    let bitmap = entry(&image, "bitmap-one");
    for (offset, value, problem) in [
        (60, 0x7f, "nb_snapshots is 2130706434"),
        (62, 1, "extra data size of a snapshot is"),
        (71, 1, "snapshots_offset is"),
        (snapshots + 38, 0x7f, "extra data size of a snapshot is"),
        (extension - 1, 16, "header extension length is"),
        (extension, 1, "nb_bitmaps is 16777218"),
        (extension + 3, 0, "nb_bitmaps is 0"),
        (extension + 3, 1, "bitmap_directory_size is"),
        (
            extension + 3,
            3,
            "end of an entry in the bitmap directory is",
        ),
        (extension + 4, 1, "reserved field of the bitmaps extension"),
        (extension + 8, 0x7f, "bitmap_directory_size is"),
        (
            extension + 15,
            8,
            "end of an entry in the bitmap directory is",
        ),
        (extension + 16, 0x7f, "the bitmap directory ends at"),
        (extension + 23, 1, "bitmap_directory_offset is"),
        (bitmap + 7, 1, "bitmap_table_offset is"),
        (bitmap + 11, 0, "bitmap_table_size is 0"),
        (bitmap + 12, 0x80, "flags of a bitmap is"),
        (bitmap + 16, 2, "type of a bitmap is 2"),
        (bitmap + 17, 64, "granularity_bits is 64"),
        (bitmap + 18, 4, "name_size of a bitmap is"),
        (bitmap + 20, 0x7f, "extra_data_size of a bitmap is"),
        (35, 3, "crypt_method is 3"),
        (79, 8, "compression_type is 0"),
        (104, 1, "compression_type is 1"),
        (
            78,
            1,
            "needs a feature that this tool does not support: bit 8",
        ),
    ] {
        let theirs = refused(&dir, &image, offset, value, problem);
        assert_eq!(theirs.status, Some(1), "{problem}");
    }
}

#[test]
fn refuses_a_table_beyond_the_end_of_the_file() {
    // To qemu-img it is zeros: a snapshot without a name, a bitmap that is all clear.
    let dir = Dir::new();
    let image = full_of_tables(&dir);
    let header = Header::parse(&image).expect("a header");
    let snapshots = header.snapshots_offset as usize;
    for (offset, value, problem) in [
        (64, 0x7f, "the snapshot table ends at"),
        (snapshots + 12, 0xff, "the snapshot table ends at"),
        (
            entry(&image, "bitmap-one"),
            0x7f,
            "the table of a bitmap ends at",
        ),
    ] {
        refused(&dir, &image, offset, value, problem);
    }
}

#[test]
fn no_changed_byte_makes_the_library_panic() {
    let dir = Dir::new();
    let good = full_of_tables(&dir);
    let read = |image: &[u8]| {
        if let Ok(header) = Header::parse(&image[..image.len().min(512)]) {
            let _ = Snapshot::read_all(&mut Cursor::new(image), &header);
            let _ = Bitmap::read_all(&mut Cursor::new(image), &header);
        }
    };
    for offset in 0..good.len() {
        read(&good[..offset]);
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut image = good.clone();
            image[offset] = value;
            read(&image);
        }
    }
}
