//! What QEMU makes of the holes in our images.
//!
//! QEMU (`block/qcow2-refcount.c`, `qcow2_detect_metadata_preallocation`) takes an image whose
//! file has fewer blocks than its refcounts say for one with preallocated metadata. So it
//! takes ours, until a guest has written some. All that follows is that a look at where data
//! is (`block/qcow2.c`, `qcow2_co_block_status`) asks the file system too, and so finds zeros
//! where it would say data. A guest sees no difference, and a hole for the L1 table alone
//! does not matter: with four clusters of 64 KiB, three must be on disk for QEMU to see it
//! otherwise.

use serde_json::Value;

use crate::common::Dir;
use crate::qemu_io;

const BLOCK: usize = 4096;

/// The entry of `qemu-img map` for each block of the disk.
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

/// Compares where the data is in both images, of which both have the content `flat`.
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
        // What QEMU finds to be zeros, it finds with ours too.
        assert!(
            ours["zero"] == true || theirs["zero"] == false,
            "{when}, block {index}"
        );
    }
}

#[test]
fn holes_never_mislead_qemu_about_the_content() {
    let dir = Dir::new();
    let base: Vec<u8> = (0..1 << 20).map(|i: u32| (i / 512 + i) as u8).collect();
    dir.write("base.img", &base);
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
fn what_is_cut_off_reads_as_the_zeros_that_map_shows() {
    // As in test 102 of qemu-iotests, in which alone our holes show.
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
