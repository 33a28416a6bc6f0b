//! `qcow2-overlay info --output human`

use qcow2_overlay::{BackingState, Header, Snapshot, SECTOR};

use crate::cli::human_size::human_size;
use crate::cli::info_output::description::{full_backing_name, lossy, ImageDescription};
use crate::cli::info_output::format_specific::{details, Detail};

pub fn to_text(described: &ImageDescription) -> String {
    let image = &described.image;
    let bytes = |size: u64| format!("{} ({size} bytes)", human_size(size));
    let path = image.path.display();
    let disk_size = human_size(image.disk_usage);
    let mut lines = vec![
        format!("image: {path}"),
        format!("file format: {}", image.format),
        format!("virtual size: {}", bytes(image.virtual_size)),
        format!("disk size: {disk_size}"),
    ];
    if let Some(header) = &image.header {
        if header.encryption_format().is_some() {
            lines.push("encrypted: yes".to_owned());
        }
        lines.push(format!("cluster_size: {}", header.cluster_size()));
        if header.has_incompatible(Header::DIRTY) {
            lines.push("cleanly shut down: no".to_owned());
        }
        if let Some(name) = &header.backing_name {
            let (name, full) = (lossy(name), full_backing_name(image));
            lines.push(if name == full {
                format!("backing file: {name}")
            } else {
                format!("backing file: {name} (actual path: {full})")
            });
            if let Some(format) = header.backing_format() {
                lines.push(format!("backing file format: {}", lossy(format)));
            }
            lines.extend(warning(&described.record));
        }
        if !described.snapshots.is_empty() {
            let columns = ["ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT"];
            lines.push("Snapshot list:".to_owned());
            lines.push(row(columns.map(str::to_owned)));
            lines.extend(described.snapshots.iter().map(snapshot));
        }
        lines.push("Format specific information:".to_owned());
        for (name, detail) in details(described, header) {
            add(&mut lines, 1, name, &detail);
        }
    }
    lines.extend([
        "Child node '/file':".to_owned(),
        format!("    filename: {path}"),
        format!("    protocol type: {}", image.protocol_driver()),
        format!(
            "    file length: {}",
            bytes(image.file_length.next_multiple_of(SECTOR))
        ),
        format!("    disk size: {disk_size}"),
    ]);
    lines.join("\n") + "\n"
}

/// Returns a warning if the backing chain does not match the record in the image, or may not.
fn warning(record: &BackingState) -> Option<String> {
    match record {
        BackingState::NotRecorded | BackingState::Unchanged => None,
        BackingState::Changed(change) => Some(format!(
            "warning: {:?} has changed since this image was written ({change}), so this disk \
             may not match it",
            change.path
        )),
        BackingState::Unreadable(error) => Some(format!("warning: {error}")),
    }
}

/// Adds `detail` under `name`, with its parts indented below it.
fn add(lines: &mut Vec<String>, depth: usize, name: &str, detail: &Detail) {
    let start = format!("{}{name}:", "    ".repeat(depth));
    match detail {
        Detail::Flag(is_set) => lines.push(format!("{start} {is_set}")),
        Detail::Number(number) => lines.push(format!("{start} {number}")),
        Detail::Text(text) => lines.push(format!("{start} {text}")),
        Detail::List(items) => {
            lines.push(start);
            for (index, item) in items.iter().enumerate() {
                add(lines, depth + 1, &format!("[{index}]"), item);
            }
        }
        Detail::Map(details) => {
            lines.push(start);
            for (name, detail) in details {
                add(lines, depth + 1, name, detail);
            }
        }
    }
}

fn snapshot(snapshot: &Snapshot) -> String {
    let milliseconds = snapshot.vm_clock / 1_000_000;
    let seconds = milliseconds / 1000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let icount = snapshot.icount.map(|count| (count as i64).to_string());
    row([
        lossy(&snapshot.id),
        lossy(&snapshot.name),
        human_size(snapshot.vm_state_size),
        date(snapshot.date_seconds),
        format!(
            "{hours:04}:{minutes:02}:{:02}.{:03}",
            seconds % 60,
            milliseconds % 1000
        ),
        icount.unwrap_or_else(|| "--".to_owned()),
    ])
}

/// Formats the columns as QEMU does (`block/qapi.c`, `bdrv_snapshot_dump`). Widths count bytes,
/// as in C; those of Rust count characters.
fn row([id, tag, size, date, clock, icount]: [String; 6]) -> String {
    let left = |text: String, width: usize| {
        let space = width.saturating_sub(text.len());
        text + &" ".repeat(space)
    };
    let right = |text: String, width: usize| {
        let space = width.saturating_sub(text.len());
        " ".repeat(space) + &text
    };
    let columns = [
        left(id, 7),
        left(tag, 16),
        right(size, 8),
        right(date, 19),
        right(clock, 15),
        right(icount, 10),
    ];
    columns.join(" ")
}

/// Formats a time in UTC, because the standard library has no time zones. QEMU prints local
/// time.
fn date(seconds: u32) -> String {
    let (mut days, rest) = (seconds / 86400, seconds % 86400);
    let is_leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u32::from(is_leap(year)) {
        days -= 365 + u32::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u32::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let day = days + 1;
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}
