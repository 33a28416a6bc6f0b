//! `info` without QEMU; tests/tool/qemu compares it with `qemu-img info`.

use crate::common::Dir;

#[test]
fn describes_an_overlay() {
    let dir = Dir::new();
    dir.tool("create -q -u -b /nowhere/node.img -F raw disk.qcow2 1G")
        .ok();
    let text = dir.tool("info disk.qcow2").ok();
    let start = "image: disk.qcow2\n\
                 file format: qcow2\n\
                 virtual size: 1 GiB (1073741824 bytes)\n";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("\nbacking file: /nowhere/node.img\nbacking file format: raw\n"));
}

#[test]
fn prints_json() {
    let dir = Dir::new();
    dir.tool("create -q disk.qcow2 1G").ok();
    let text = dir.tool("info --output json disk.qcow2").ok();
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["virtual-size"], 1 << 30);
    assert_eq!(value["format-specific"]["data"]["compat"], "1.1");
}

#[test]
fn dates_of_snapshots_are_in_utc() {
    let dir = Dir::new();
    dir.tool("create -q blank.qcow2 1M").ok();
    let mut image = dir.read("blank.qcow2");
    image[63] = 1; // one snapshot, in the cluster after the L1 table
    image[64..72].copy_from_slice(&0x4_0000_u64.to_be_bytes());
    image.resize(0x4_0000 + 40, 0);
    // The dates are those of `date -u -d @SECONDS`.
    for (seconds, date) in [
        (0_u32, "1970-01-01 00:00:00"),
        (68_169_599, "1972-02-28 23:59:59"),
        (68_169_600, "1972-02-29 00:00:00"),
        (94_694_399, "1972-12-31 23:59:59"),
        (94_694_400, "1973-01-01 00:00:00"),
        (951_868_800, "2000-03-01 00:00:00"),
        (1_795_418_085, "2026-11-23 07:14:45"),
        (4_107_542_400, "2100-03-01 00:00:00"),
        (u32::MAX, "2106-02-07 06:28:15"),
    ] {
        image[0x4_0010..][..4].copy_from_slice(&seconds.to_be_bytes());
        dir.write("disk.qcow2", &image);
        let text = dir.tool("info disk.qcow2").ok();
        let row = format!("     0 B {date}  0000:00:00.000         --\n");
        assert!(text.contains(&row), "{date}: {text}");
    }
}

#[test]
fn follows_a_chain_to_its_end() {
    let dir = Dir::new();
    dir.sparse("node.img", 1 << 20);
    dir.tool("create -q -b node.img v1.qcow2").ok();
    dir.tool("create -q -b v1.qcow2 v2.qcow2").ok();
    let text = dir.tool("info --backing-chain v2.qcow2").ok();
    let images: Vec<&str> = text.lines().filter(|l| l.starts_with("image: ")).collect();
    assert_eq!(
        images,
        ["image: v2.qcow2", "image: v1.qcow2", "image: node.img"]
    );
}

#[test]
fn finds_a_loop_in_a_chain() {
    let dir = Dir::new();
    dir.tool("create -q -u -b b.qcow2 -F qcow2 a.qcow2 1M").ok();
    dir.tool("create -q -u -b a.qcow2 -F qcow2 b.qcow2 1M").ok();
    dir.tool("info --backing-chain a.qcow2").fails(
        1,
        "\"a.qcow2\": the backing chain is a loop: \"a.qcow2\" is backed by itself",
    );
}

#[test]
fn names_the_image_whose_base_is_missing() {
    let dir = Dir::new();
    dir.tool("create -q -u -b gone.img -F raw v1.qcow2 1M").ok();
    dir.tool("create -q -u -b v1.qcow2 -F qcow2 v2.qcow2 1M")
        .ok();
    dir.tool("info v2.qcow2").ok();
    dir.tool("info --backing-chain v2.qcow2").fails(
        1,
        "\"v2.qcow2\": in \"v1.qcow2\": its backing file \"gone.img\": \
         No such file or directory (os error 2)",
    );
}

#[test]
fn refuses_a_missing_or_corrupt_image() {
    let dir = Dir::new();
    dir.tool("info gone")
        .fails(1, "\"gone\": No such file or directory (os error 2)");
    dir.write("short", b"QFI\xfb\0\0\0\x03");
    dir.tool("info short").fails(
        1,
        "\"short\": truncated qcow2 image: the header ends at byte 72, the file at byte 8",
    );
    dir.tool("create -q whole.qcow2 1G").ok();
    let whole = dir.read("whole.qcow2");
    for (offset, value, problem) in [
        (63, 1, "corrupt qcow2 image: snapshots_offset is 0 (0x0)"),
        (
            60,
            0xff,
            "corrupt qcow2 image: nb_snapshots is 4278190080 (0xff000000)",
        ),
        (35, 9, "corrupt qcow2 image: crypt_method is 9 (0x9)"),
        (
            78,
            1,
            "the qcow2 image needs a feature that this tool does not support: bit 8",
        ),
    ] {
        let mut broken = whole.clone();
        broken[offset] = value;
        dir.write("broken.qcow2", &broken);
        dir.tool("info broken.qcow2")
            .fails(1, &format!("\"broken.qcow2\": {problem}"));
    }
}

#[test]
fn refuses_a_snapshot_table_beyond_the_end_of_the_file() {
    let dir = Dir::new();
    dir.tool("create -q cut.qcow2 1G").ok();
    dir.tool("create -q -b cut.qcow2 top.qcow2").ok();
    let mut image = dir.read("cut.qcow2");
    // One snapshot, at the end of the last cluster, which the file does not fill.
    image[63] = 1;
    image[64..72].copy_from_slice(&0x3_0000_u64.to_be_bytes());
    dir.write("cut.qcow2", &image);
    let problem = "truncated qcow2 image: the snapshot table ends at byte 196648, \
                   the file at byte 196624";
    dir.tool("info cut.qcow2")
        .fails(1, &format!("\"cut.qcow2\": {problem}"));
    // Only the description of that image reads the table, and the message names it.
    dir.tool("info top.qcow2").ok();
    dir.tool("info --backing-chain top.qcow2").fails(
        1,
        &format!("\"top.qcow2\": its backing file \"cut.qcow2\": {problem}"),
    );
}
