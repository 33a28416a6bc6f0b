//! `qcow2-overlay info --output json`

use qcow2_overlay::{BackingState, Header, Snapshot, SECTOR};
use serde_json::{json, Map, Value};

use crate::cli::info_output::description::{full_backing_name, lossy, ImageDescription};
use crate::cli::info_output::format_specific::{details, Detail, Details};

pub fn to_json(described: &ImageDescription) -> Value {
    let image = &described.image;
    let path = image.path.to_string_lossy();
    let file_size = image.file_length.next_multiple_of(SECTOR);
    let mut value = json!({
        "filename": path,
        "format": image.format.name(),
        "virtual-size": image.virtual_size,
        "actual-size": image.disk_usage,
        "dirty-flag": false,
        "children": [{
            "name": "file",
            "info": {
                "children": [],
                "filename": path,
                "format": image.protocol_driver(),
                "virtual-size": file_size,
                "actual-size": image.disk_usage,
                "dirty-flag": false,
                "format-specific": {"type": "file", "data": {}},
            },
        }],
    });
    if let Some(header) = &image.header {
        value["cluster-size"] = header.cluster_size().into();
        value["dirty-flag"] = header.has_incompatible(Header::DIRTY).into();
        if header.encryption_format().is_some() {
            value["encrypted"] = true.into();
        }
        let data = map(details(described, header));
        value["format-specific"] = json!({"type": "qcow2", "data": data});
        if let Some(name) = &header.backing_name {
            value["backing-filename"] = lossy(name).into();
            value["full-backing-filename"] = full_backing_name(image).into();
            if let Some(format) = header.backing_format() {
                value["backing-filename-format"] = lossy(format).into();
            }
        }
    }
    if let Some(record) = record(&described.record) {
        value["backing-record"] = record;
    }
    if !described.snapshots.is_empty() {
        value["snapshots"] = described.snapshots.iter().map(snapshot).collect();
    }
    value
}

/// Returns the value of `backing-record`, the one key that `qemu-img` does not have.
fn record(record: &BackingState) -> Option<Value> {
    match record {
        BackingState::NotRecorded => None,
        BackingState::Unchanged => Some(json!({"state": "unchanged"})),
        BackingState::Changed(change) => {
            Some(json!({"state": "changed", "filename": change.path.to_string_lossy()}))
        }
        BackingState::Unreadable(error) => {
            Some(json!({"state": "unknown", "problem": error.to_string()}))
        }
    }
}

fn snapshot(snapshot: &Snapshot) -> Value {
    const SECOND: u64 = 1_000_000_000;
    let mut value = json!({
        "id": lossy(&snapshot.id),
        "name": lossy(&snapshot.name),
        // QEMU's integers are signed (`qapi/block-core.json`, `SnapshotInfo`).
        "vm-state-size": snapshot.vm_state_size as i64,
        "date-sec": snapshot.date_seconds,
        "date-nsec": snapshot.date_nanoseconds,
        "vm-clock-sec": snapshot.vm_clock / SECOND,
        "vm-clock-nsec": snapshot.vm_clock % SECOND,
    });
    if let Some(icount) = snapshot.icount {
        value["icount"] = (icount as i64).into();
    }
    value
}

fn map(details: Details) -> Map<String, Value> {
    let pair = |(name, detail): (&str, Detail)| (name.replace(' ', "-"), plain(detail));
    details.into_iter().map(pair).collect()
}

fn plain(detail: Detail) -> Value {
    match detail {
        Detail::Flag(is_set) => is_set.into(),
        Detail::Number(number) => number.into(),
        Detail::Text(text) => text.into(),
        Detail::List(items) => items.into_iter().map(plain).collect(),
        Detail::Map(details) => map(details).into(),
    }
}
