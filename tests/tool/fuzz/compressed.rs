//! What must hold for the content of compressed clusters.

use qcow2_overlay::{DiskReader, Header};

use crate::model::Image;
use crate::reader::content;
use crate::recipe::Recipe;
use crate::sparse::Sparse;

/// Checks the reader with any compressed cluster: one byte is its compression type and size, the
/// rest its data.
pub fn compressed(bytes: &[u8]) {
    let mut recipe = Recipe(bytes);
    let kind = recipe.byte();
    let compression = kind & 1;
    let mut header = Header {
        cluster_bits: 9 + u32::from(kind >> 1) % 6,
        l1_entries: 1,
        refcount_table_clusters: 1,
        refcount_order: 4,
        compression,
        ..Header::default()
    };
    if compression == 1 {
        header.incompatible_features |= Header::COMPRESSION_TYPE;
    }
    let cluster_size = header.cluster_size();
    header.virtual_size = 2 * cluster_size;
    header.l1_offset = cluster_size;

    let stream = recipe.0;
    let start = 3 * cluster_size;
    let shift = 62 - (header.cluster_bits - 8);
    let sectors = (stream.len().max(1) as u64 - 1) / 512;
    let most = (1 << (62 - shift)) - 1;
    let entry = 1 << 62 | sectors.min(most) << shift | start;

    // Both clusters are the same: the first must leave nothing behind that changes the second.
    let mut file = vec![0; start as usize];
    let (l1, l2) = (cluster_size as usize, 2 * cluster_size as usize);
    file[l1..l1 + 8].copy_from_slice(&(2 * cluster_size).to_be_bytes());
    file[l2..l2 + 8].copy_from_slice(&entry.to_be_bytes());
    file[l2 + 8..l2 + 16].copy_from_slice(&entry.to_be_bytes());
    file.extend(if stream.is_empty() { &[0] } else { stream });

    let images = [Image {
        header: Some(Header::parse(&header.encode()).expect("a good header")),
        storage: Sparse::of(file),
    }];
    let [image] = &images;
    let disk = DiskReader::new([(image.storage.clone(), image.header.as_ref())]);
    let disk = disk.expect("a good image");
    content(&disk, &images, 0, 2 * cluster_size);
    let (mut one, mut other) = (
        vec![0; cluster_size as usize],
        vec![1; cluster_size as usize],
    );
    let is_good = disk.read_at(&mut one, 0).is_ok();
    assert_eq!(disk.read_at(&mut other, cluster_size).is_ok(), is_good);
    assert!(!is_good || one == other);
}
