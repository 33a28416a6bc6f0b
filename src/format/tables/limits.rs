//! Limits that apply to new and to existing images.

/// QEMU's limit (`block/qcow2.h`, `QCOW_MAX_L1_SIZE`), in entries of 8 bytes.
pub(crate) const MAX_L1_ENTRIES: u64 = (32 << 20) / 8;
/// QEMU's limit (`block/qcow2.h`, `QCOW_MAX_REFTABLE_SIZE`), in bytes.
pub(crate) const MAX_REFCOUNT_TABLE: u64 = 8 << 20;
/// The specification's limit, in bytes.
pub(crate) const MAX_BACKING_NAME: usize = 1023;
/// QEMU's limit (`block/qcow2.h`, `QCOW_MAX_SNAPSHOTS`); the specification has none.
pub(crate) const MAX_SNAPSHOTS: u32 = 65536;
/// QEMU's limit (`block/qcow2.c`, `qcow2_do_open`, where subclusters have 512 bytes at least),
/// in bytes.
pub(crate) const MIN_EXTENDED_L2_CLUSTER_SIZE: u64 = 16 << 10;

/// Returns the number of bytes of the disk that one L2 table maps.
pub(crate) fn bytes_mapped_by_l2_table(cluster_size: u64, extended_l2: bool) -> u64 {
    let entry_size = if extended_l2 { 16 } else { 8 };
    cluster_size * (cluster_size / entry_size)
}
