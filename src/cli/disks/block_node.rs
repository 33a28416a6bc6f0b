//! An image and its backing chain as a value for QEMU's `-blockdev`.

use std::path::Path;

use anyhow::{bail, Context, Result};
use qcow2_overlay::{Format, Header, ImageInfo, Version};
use serde_json::{json, Value};

/// Returns the value for the writable qcow2 disk at `path`, which is backed by `backing_chain`, the
/// nearest first. It gives every driver and every file, so QEMU probes no format and follows no
/// name stored in an image.
pub fn blockdev(
    name: &str,
    path: &Path,
    version: Version,
    backing_chain: &[ImageInfo],
) -> Result<Value> {
    let mut node = json!({
        "driver": "qcow2",
        "file": {"driver": "file", "filename": utf8(path)?},
        // Without "backing" QEMU would follow the stored name; null means none.
        "backing": read_only(backing_chain)?,
    });
    make_writable(&mut node, Some(version));
    node["node-name"] = name.into();
    Ok(node)
}

/// Returns the value for the first of `images`, which is backed by the others.
pub fn blockdev_of(name: &str, images: &[ImageInfo], is_read_only: bool) -> Result<Value> {
    let mut node = read_only(images)?;
    if !is_read_only {
        let header = images.first().and_then(|image| image.header.as_ref());
        make_writable(&mut node, header.map(|header| header.version));
    }
    node["node-name"] = name.into();
    Ok(node)
}

/// Returns the node of a chain, the topmost image first; null if it is empty.
fn read_only(images: &[ImageInfo]) -> Result<Value> {
    let on = |backing, image| read_only_image(image, backing);
    images.iter().rev().try_fold(Value::Null, on)
}

/// Lets a node be written to, and gives it the settings of a disk that a test throws away. `version` is
/// that of a qcow2 image.
fn make_writable(node: &mut Value, version: Option<Version>) {
    let remove = |node: &mut Value| node.as_object_mut().map(|node| node.remove("read-only"));
    remove(node);
    remove(&mut node["file"]);
    // No test outlives a crash of the host. What a guest has flushed still survives
    // a QEMU that is killed. The file node inherits this (`block.c`,
    // `bdrv_inherited_options`).
    node["cache"] = json!({"no-flush": true});
    // Version 2 cannot mark a cluster as reading as zeros. Where a guest discards, QEMU before
    // 5.1 exposes the base, and newer versions ignore the discard (`block/qcow2.c`,
    // `qcow2_co_pdiscard`).
    //
    // "detect-zeroes" is left to those who know their QEMU. It makes zero writes of a guest's
    // writes, and before 10.0.11 and 11.0.2 a zero write can be lost if another write to the
    // same cluster is in flight (mended by QEMU's b8bfb1478d61). Discards are safe: QEMU leaves
    // out clusters that one covers in part, and a guest does not discard what it is writing.
    if version != Some(Version::V2) {
        node["discard"] = "unmap".into();
    }
}

fn read_only_image(image: &ImageInfo, backing: Value) -> Result<Value> {
    let path = &image.path;
    let driver = image.protocol_driver();
    let mut node = json!({
        "driver": image.format.name(),
        "read-only": true,
        "file": {"driver": driver, "filename": utf8(path)?, "read-only": true},
    });
    if image.format == Format::Qcow2 {
        node["backing"] = backing;
    }
    if let Some(header) = &image.header {
        if header.encryption_format().is_some() {
            bail!("{path:?} is encrypted, and its key cannot be given here; decrypt it with qemu-img convert");
        }
        if header.has_incompatible(Header::EXTERNAL_DATA) {
            // Its path depends on the directory that QEMU runs in.
            bail!("{path:?} has an external data file, which cannot be named here; make it one file with qemu-img convert");
        }
    }
    Ok(node)
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{path:?} is not UTF-8, which JSON requires; rename it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_disk_has_no_backing_file() {
        let path = Path::new("/x/A.qcow2");
        for (version, unmap) in [(Version::V2, ""), (Version::V3, r#""discard":"unmap","#)] {
            let value = blockdev("A", path, version, &[]).expect("a value");
            let [start, end] = [
                r#"{"backing":null,"cache":{"no-flush":true},"#,
                r#""driver":"qcow2","file":{"driver":"file","filename":"/x/A.qcow2"},"node-name":"A"}"#,
            ];
            assert_eq!(value.to_string(), format!("{start}{unmap}{end}"));
        }
    }
}
