//! How QEMU sees the holes in our images.
//!
//! If a file has fewer blocks than its refcounts say, QEMU takes the image for one with
//! preallocated metadata (`block/qcow2-refcount.c`, `qcow2_detect_metadata_preallocation`). It
//! does so with our images until a guest has written some data. The only effect is that a query
//! for the location of data (`block/qcow2.c`, `qcow2_co_block_status`) also asks the file system,
//! and so reports zeros where it would report data. A guest sees no difference. A hole in
//! place of the L1 table alone has no such effect: of the four clusters of 64 KiB of a small
//! image, QEMU lets one be a hole.

use serde_json::Value;

use crate::common::Dir;
use crate::{pattern, qemu_io};

const BLOCK: usize = 4096;

/// Returns the entry of `qemu-img map` for each block of the disk.
fn map(dir: &Dir, name: &str) -> Vec<Value> {
    let text = dir.qemu_img(&format!("map -f qcow2 --output json {name}"));
    let entries: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let mut blocks = Vec::new();
    for entry in entries {
        let length = entry["length"].as_u64().expect("a number") as usize;
        assert_eq!(length % BLOCK, 0, "{text}");
        blocks.extend(std::iter::repeat_n(entry, length / BLOCK));
    }
    blocks
}

/// Checks that both images have the same content, and their data in the same places.
fn compare(dir: &Dir, when: &str) {
    for name in ["ours", "theirs"] {
        dir.qemu_img(&format!("convert -f qcow2 -O raw {name} {name}.flat"));
    }
    let flat = dir.read("ours.flat");
    assert!(flat == dir.read("theirs.flat"), "{when}");
    let (ours, theirs) = (map(dir, "ours"), map(dir, "theirs"));
    assert_eq!((ours.len(), theirs.len()), (512, 512));
    for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        for key in ["depth", "present"] {
            assert_eq!(ours[key], theirs[key], "{when}, block {index}");
        }
        let is_zero = flat[index * BLOCK..][..BLOCK].iter().all(|byte| *byte == 0);
        assert!(is_zero || ours["zero"] == false, "{when}, block {index}");
        // Where QEMU reports zeros in its own image, it does in ours.
        assert!(
            ours["zero"] == true || theirs["zero"] == false,
            "{when}, block {index}"
        );
    }
}

#[test]
fn holes_never_mislead_qemu_about_the_content() {
    let dir = Dir::new();
    dir.write("base.img", &pattern(1 << 20));
    for options in ["", "-b base.img -F raw"] {
        dir.tool(&format!("create -q --force {options} ours 2M"))
            .ok();
        dir.qemu_img(&format!("create -q -f qcow2 {options} theirs 2M"));
        compare(&dir, "fresh");
        for command in [
            "write -P 7 0 64k",
            "write -P 7 200k 4k",
            "write -z 256k 64k",
            "write -z 320k 8k",
            "discard 0 4k",
            "discard 0 64k",
            "discard 1M 128k",
            "write -P 7 0 2M",
            "discard 64k 1M",
        ] {
            for name in ["ours", "theirs"] {
                qemu_io(&dir, command, name);
            }
            compare(&dir, command);
        }
    }
}

#[test]
fn a_truncated_cluster_reads_as_zeros_and_map_says_so() {
    // Test 102 of qemu-iotests does this. It is the only one in which our holes show.
    let dir = Dir::new();
    dir.tool("create -q ours 64K").ok();
    dir.qemu_img("create -q -f qcow2 theirs 64K");
    let mut zero = Vec::new();
    for name in ["ours", "theirs"] {
        qemu_io(&dir, "write -P 7 0 64k", name);
        dir.qemu_img(&format!("resize -q -f raw --shrink {name} 320K"));
        qemu_io(&dir, "read -P 0 0 64k", name);
        zero.push(map(&dir, name)[0]["zero"].clone());
    }
    assert_eq!(zero, [true, false]);
}
