//! Images from elsewhere, which can name anything as their backing file.

use qcow2_overlay::{Extension, Header};

use crate::common::Dir;

/// Writes the image `strange.qcow2` with a header that `edit` has changed.
fn strange(dir: &Dir, edit: impl Fn(&mut Header)) {
    dir.tool("create -q --force strange.qcow2 1M").ok();
    let mut image = dir.read("strange.qcow2");
    let mut header = Header::parse(&image).expect("a header");
    edit(&mut header);
    let start = header.encode();
    image[..start.len()].copy_from_slice(&start);
    dir.write("strange.qcow2", &image);
}

#[test]
fn a_name_that_is_no_file_name_is_followed_by_no_command() {
    let dir = Dir::new();
    dir.sparse("node.img", 1 << 20);
    for name in [
        "nbd://127.0.0.1:9/disk",
        "json:{\"driver\": \"file\", \"filename\": \"node.img\"}",
        "file:node.img",
    ] {
        strange(&dir, |header| {
            header.backing_name = Some(name.into());
        });
        let problem = format!(
            "its backing file {name:?} is the address of a protocol, and only files are opened \
             here; if you trust the image, make it one file with qemu-img convert"
        );
        let top = format!("\"strange.qcow2\": {problem}");
        for (command, message) in [
            ("info --backing-chain strange.qcow2", top.clone()),
            ("convert strange.qcow2 x", top.clone()),
            ("clone strange.qcow2 x", top.clone()),
            (
                "exec --disk A=strange.qcow2 -- touch x",
                format!("disk A: {top}"),
            ),
            ("create -b strange.qcow2 x", format!("backing file {top}")),
            (
                "provision -b strange.qcow2 x -- touch x",
                format!("backing file {top}"),
            ),
            (
                "convert -B strange.qcow2 node.img x",
                format!("backing file {top}"),
            ),
        ] {
            dir.tool(command).fails(1, &message);
        }
        assert_eq!(dir.names(), ["node.img", "strange.qcow2"]);
        let info = dir.tool("info strange.qcow2").ok();
        assert!(
            info.contains(&format!("\nbacking file: {name}\n")),
            "{info}"
        );
    }
}

#[test]
fn a_base_of_another_recorded_format_is_not_read() {
    let dir = Dir::new();
    dir.sparse("node.img", 1 << 20);
    strange(&dir, |header| {
        header.backing_name = Some(b"node.img".to_vec());
        header.extensions.push(Extension {
            kind: Extension::BACKING_FORMAT,
            data: b"vmdk".to_vec(),
        });
    });
    dir.tool("clone strange.qcow2 x").fails(
        1,
        "\"strange.qcow2\": its backing file has the recorded format \"vmdk\", and only raw and \
         qcow2 are read here: make the image one file with qemu-img convert",
    );
    let info = dir.tool("info strange.qcow2").ok();
    assert!(info.contains("\nbacking file format: vmdk\n"), "{info}");
}

#[test]
fn standalone_refuses_an_image_that_names_a_data_file() {
    let dir = Dir::new();
    strange(&dir, |header| {
        header.incompatible_features |= Header::EXTERNAL_DATA;
        header.extensions.push(Extension {
            kind: Extension::DATA_FILE,
            data: b"/dev/sda".to_vec(),
        });
    });
    let problem = "\"strange.qcow2\" has its data in another file, \"/dev/sda\", and --standalone \
                   allows none; if you trust the image, make it one file with qemu-img convert";
    let base = format!("backing file {problem}");
    for (command, message) in [
        ("create --standalone -b strange.qcow2 x", &base[..]),
        ("provision --standalone -b strange.qcow2 x -- true", &base),
        ("convert --standalone strange.qcow2 x", problem),
    ] {
        dir.tool(command).fails(1, message);
    }
    assert_eq!(dir.names(), ["strange.qcow2"]);
}
