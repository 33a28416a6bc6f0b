//! What must hold for any bytes. The fuzzers look for bytes for which it does not.
#![allow(dead_code)] // each fuzz target uses one of them

use std::io::Cursor;

use qcow2_overlay::{Bitmap, Header, Layout, OptionList, Snapshot};

/// Checks that bytes are refused, or are a header that can be written and parsed again.
pub fn header(bytes: &[u8]) {
    let Ok(header) = Header::parse(bytes) else {
        return;
    };
    let _ = header.check_file_length(bytes.len() as u64);
    let _ = header.backing_file_states();
    let written = header.encode();
    // An old header of 104 bytes grows by 8 bytes, and there may be no room for them.
    if written.len() as u64 <= header.cluster_size() {
        assert_eq!(Header::parse(&written), Ok(header));
    }
}

/// Checks that the tables that a header refers to are refused, or are within the file.
pub fn tables(image: &[u8]) {
    let mut reader = Cursor::new(image);
    let Ok(header) = Header::read(&mut reader) else {
        return;
    };
    if let Ok(snapshots) = Snapshot::read_all(&mut reader, &header) {
        assert_eq!(snapshots.len(), header.snapshot_count as usize);
        let names = snapshots.iter().map(|s| s.id.len() + s.name.len());
        assert!(names.sum::<usize>() <= image.len());
    }
    if let Ok(bitmaps) = Bitmap::read_all(&mut reader, &header) {
        let names = bitmaps.iter().map(|bitmap| bitmap.name.len());
        assert!(names.sum::<usize>() <= image.len());
    }
}

/// Checks that a list of options is refused, or gives an image whose header can be parsed, and
/// whose parts are in order and within the file.
pub fn options(list: &[u8]) {
    let mut options = OptionList::default();
    if options.add(list).is_err() {
        return;
    }
    let size = options.size.unwrap_or(1 << 30);
    let mut request = options.options().virtual_size(size);
    if let Some(name) = &options.backing_file {
        request = request.backing(name.clone(), options.backing_format);
    }
    let Ok(layout) = Layout::new(&request) else {
        return;
    };
    let header = layout.header();
    assert_eq!(Header::parse(&header.encode()).as_ref(), Ok(header));
    assert_eq!(header.check_file_length(layout.file_length()), Ok(()));
    let mut end = 0;
    for (offset, bytes) in layout.segments() {
        assert!(offset >= end);
        end = offset + bytes.len() as u64;
    }
    assert!(end <= layout.file_length());
}
