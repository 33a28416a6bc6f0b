//! The header of a new image, which depends only on its options.

use crate::format::compression::compression_type::CompressionType;
use crate::format::format_error::FormatError;
use crate::format::header::extension::Extension;
use crate::format::header::{Header, Version};
use crate::format::name::protocol;
use crate::format::options::Options;
use crate::format::size::SECTOR;
use crate::format::tables::limits::{
    bytes_mapped_by_l2_table, MAX_BACKING_NAME, MAX_L1_ENTRIES, MIN_EXTENDED_L2_CLUSTER_SIZE,
};

const MIN_CLUSTER_SIZE: u64 = 512;
const MAX_CLUSTER_SIZE: u64 = 2 << 20;

/// Returns the header of the image that `options` describe, without the places of its tables.
///
/// # Errors
///
/// If a value is out of range, if options exclude each other, if the L1 table cannot map
/// the size, or if no file can have the name of the backing file.
pub(crate) fn new_header(options: &Options) -> Result<Header, FormatError> {
    check_combination(options)?;
    let cluster_size = options.cluster_size;
    let limit = max_virtual_size(cluster_size, options.extended_l2);
    let size = options.virtual_size.unwrap_or_default();
    if size > limit {
        return Err(FormatError::SizeTooLarge {
            size,
            limit,
            fitting_cluster_size: fitting_cluster_size(options),
        });
    }
    let virtual_size = size.next_multiple_of(SECTOR);
    let bytes_per_l2 = bytes_mapped_by_l2_table(cluster_size, options.extended_l2);
    let mut header = Header {
        version: options.version,
        cluster_bits: cluster_size.trailing_zeros(),
        virtual_size,
        l1_entries: virtual_size.div_ceil(bytes_per_l2) as u32,
        refcount_order: options.refcount_bits.trailing_zeros(),
        ..Header::default()
    };
    if options.lazy_refcounts {
        header.compatible_features |= Header::LAZY_REFCOUNTS;
    }
    if options.extended_l2 {
        header.incompatible_features |= Header::EXTENDED_L2;
    }
    if options.compression_type != CompressionType::Zlib {
        header.compression = options.compression_type as u8;
        header.incompatible_features |= Header::COMPRESSION_TYPE;
    }
    add_names(&mut header, options)?;
    Ok(header)
}

fn check_combination(options: &Options) -> Result<(), FormatError> {
    let Options {
        version,
        cluster_size,
        refcount_bits,
        ..
    } = *options;
    if !cluster_size.is_power_of_two()
        || !(MIN_CLUSTER_SIZE..=MAX_CLUSTER_SIZE).contains(&cluster_size)
    {
        return Err(FormatError::InvalidClusterSize(cluster_size));
    }
    if !refcount_bits.is_power_of_two() || refcount_bits > 64 {
        return Err(FormatError::InvalidRefcountBits(refcount_bits));
    }
    let conflict = |option: &str, needs| {
        let option = option.to_owned();
        Err(FormatError::OptionConflict { option, needs })
    };
    if version == Version::V2 {
        if refcount_bits != 16 {
            return conflict(&format!("refcount_bits={refcount_bits}"), "compat=1.1");
        }
        if options.lazy_refcounts {
            return conflict("lazy_refcounts=on", "compat=1.1");
        }
        if options.extended_l2 {
            return conflict("extended_l2=on", "compat=1.1");
        }
        if options.compression_type != CompressionType::Zlib {
            let option = format!("compression_type={}", options.compression_type);
            return conflict(&option, "compat=1.1");
        }
    }
    if options.extended_l2 && cluster_size < MIN_EXTENDED_L2_CLUSTER_SIZE {
        return conflict("extended_l2=on", "a cluster_size of at least 16K");
    }
    Ok(())
}

/// Adds the header extensions and the backing file's name.
fn add_names(header: &mut Header, options: &Options) -> Result<(), FormatError> {
    if let Some(backing) = &options.backing {
        if let Some(format) = backing.format {
            header.extensions.push(Extension::backing_format(format));
        }
    }
    // QEMU leaves the feature names out of a small header cluster
    // (block/qcow2.c, qcow2_update_header).
    if options.version == Version::V3 && options.cluster_size > 4096 {
        header.extensions.push(Extension::feature_names());
    }
    if let Some(backing) = &options.backing {
        let start = header.encode().len();
        let room = options.cluster_size as usize - start;
        let (length, limit) = (backing.name.len(), room.min(MAX_BACKING_NAME));
        if length == 0 {
            return Err(FormatError::EmptyBackingName);
        }
        if backing.name.contains(&0) {
            return Err(FormatError::NulInBackingName);
        }
        if length > limit {
            // At most 2048: the larger header has no feature names either.
            let fitting = (start + length).next_power_of_two() as u64;
            return Err(FormatError::BackingNameTooLong {
                length,
                limit,
                fitting_cluster_size: (length <= MAX_BACKING_NAME).then_some(fitting),
            });
        }
        if protocol(&backing.name).is_some() {
            return Err(FormatError::BackingNameIsProtocol(backing.name.clone()));
        }
        header.backing_name = Some(backing.name.clone());
        if !options.states.is_empty() {
            // Last, where QEMU puts extensions that it does not know.
            header
                .extensions
                .push(Extension::base_stamps(&options.states));
            if header.encode().len() as u64 > options.cluster_size {
                header.extensions.pop();
            }
        }
    }
    Ok(())
}

/// Returns the largest size that an L1 table of 32 MiB can map, in bytes.
pub(crate) fn max_virtual_size(cluster_size: u64, extended_l2: bool) -> u64 {
    MAX_L1_ENTRIES * bytes_mapped_by_l2_table(cluster_size, extended_l2)
}

/// Returns the smallest cluster size with which the L1 table can map the disk, if there is one.
fn fitting_cluster_size(options: &Options) -> Option<u64> {
    let wanted = options.virtual_size.unwrap_or_default();
    (MIN_CLUSTER_SIZE.trailing_zeros()..=MAX_CLUSTER_SIZE.trailing_zeros())
        .map(|bits| 1 << bits)
        .find(|&size| max_virtual_size(size, options.extended_l2) >= wanted)
}
