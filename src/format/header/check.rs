//! Checks of the values in a header and its extensions: ranges, and what excludes what.

use byteorder::{BigEndian as BE, ByteOrder};

use crate::format::bitmaps::bitmap;
use crate::format::format_error::{check_end, corrupt, FormatError};
use crate::format::header::extension::Extension;
use crate::format::header::Header;
use crate::format::tables::limits::{
    bytes_mapped_by_l2_table, MAX_L1_ENTRIES, MAX_REFCOUNT_TABLE, MAX_SNAPSHOTS,
    MIN_EXTENDED_L2_CLUSTER_SIZE,
};

/// QEMU's limit for the name of a format (`block/qcow2.c`, `qcow2_read_extensions`).
const MAX_FORMAT: usize = 15;
/// Length of the extension that says where the LUKS header is, in bytes.
const CRYPTO_HEADER: usize = 16;

impl Header {
    /// Checks the fields of the header itself.
    pub(crate) fn check_values(&self) -> Result<(), FormatError> {
        if self.encryption > 2 {
            return corrupt("crypt_method", self.encryption);
        }
        let is_typed = self.has_incompatible(Self::COMPRESSION_TYPE);
        if is_typed != (self.compression != 0) || self.compression > 1 {
            return corrupt("compression_type", self.compression);
        }
        if self.has_extended_l2() && self.cluster_size() < MIN_EXTENDED_L2_CLUSTER_SIZE {
            return corrupt("cluster_bits with extended L2 entries", self.cluster_bits);
        }
        let entries = u64::from(self.l1_entries);
        let bytes_per_l2 = bytes_mapped_by_l2_table(self.cluster_size(), self.has_extended_l2());
        if entries > MAX_L1_ENTRIES || self.virtual_size.div_ceil(bytes_per_l2) > entries {
            return corrupt("l1_size", self.l1_entries);
        }
        let cluster_size = self.cluster_size();
        let clusters = self.refcount_table_clusters;
        if clusters == 0 || u64::from(clusters) * cluster_size > MAX_REFCOUNT_TABLE {
            return corrupt("refcount_table_clusters", clusters);
        }
        if self.snapshot_count > MAX_SNAPSHOTS {
            return corrupt("nb_snapshots", self.snapshot_count);
        }
        if self.has_raw_external_data() && !self.has_incompatible(Self::EXTERNAL_DATA) {
            // qemu-img info does not notice this, but a virtual machine does.
            return corrupt("autoclear_features", self.autoclear_features);
        }
        for (field, offset) in [
            ("l1_table_offset", self.l1_offset),
            ("refcount_table_offset", self.refcount_table_offset),
            ("snapshots_offset", self.snapshots_offset),
        ] {
            // A table has at most 64 MiB, and QEMU's offsets are signed.
            if offset % cluster_size != 0 || offset > i64::MAX as u64 - (64 << 20) {
                return corrupt(field, offset);
            }
        }
        Ok(())
    }

    /// Checks that a file of `length` bytes holds the L1 table and the refcount table.
    ///
    /// # Errors
    ///
    /// [`FormatError::Truncated`] if it does not.
    pub fn check_file_length(&self, length: u64) -> Result<(), FormatError> {
        let l1_bytes = 8 * u64::from(self.l1_entries);
        let table_bytes = u64::from(self.refcount_table_clusters) << self.cluster_bits;
        for (what, start, bytes) in [
            ("the L1 table", self.l1_offset, l1_bytes),
            (
                "the refcount table",
                self.refcount_table_offset,
                table_bytes,
            ),
        ] {
            check_end(what, start.saturating_add(bytes), length)?;
        }
        Ok(())
    }
}

/// Checks the extensions as QEMU does when it opens an image. An extension that does not
/// count, because another of its type follows, must be valid too.
pub(crate) fn check_extensions(header: &Header) -> Result<(), FormatError> {
    let is_luks = header.encryption_format() == Some("luks");
    let mut has_luks_header = false;
    for Extension { kind, data } in &header.extensions {
        let length = data.len() as u64;
        match *kind {
            Extension::BACKING_FORMAT if data.len() > MAX_FORMAT => {
                return corrupt("length of the backing file's format", length);
            }
            Extension::CRYPTO_HEADER => {
                if data.len() != CRYPTO_HEADER || !is_luks {
                    return corrupt("length of the encryption header extension", length);
                }
                let offset = BE::read_u64(data);
                if offset % header.cluster_size() != 0 {
                    return corrupt("offset of the encryption header", offset);
                }
                has_luks_header = true;
            }
            Extension::BITMAPS => bitmap::check_extension(header, data)?,
            _ => {}
        }
    }
    if is_luks && !has_luks_header {
        corrupt(
            "crypt_method without an encryption header",
            header.encryption,
        )
    } else {
        Ok(())
    }
}
