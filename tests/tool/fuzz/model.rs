//! A second reader of guest data, as simple as possible: what the specification says about one
//! byte of a disk, without caches and extents.
#![allow(dead_code)] // no fuzz target uses everything

use qcow2_overlay::{Content, Header, Storage, Version, SECTOR};

const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// An image. Without a header it is raw.
pub struct Image<S> {
    pub storage: S,
    pub header: Option<Header>,
}

/// Where the content of one byte of a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    Unallocated,
    Zero,
    /// At this byte of the file.
    At(u64),
    /// In what these bytes of the file decompress to.
    Compressed {
        offset: u64,
        length: u64,
    },
    Corrupt,
    /// In a truncated L2 table that still has the entry: a reader need not notice.
    Doubtful,
}

impl Truth {
    /// Returns what [`DiskReader::extent`](qcow2_overlay::DiskReader::extent) must return.
    pub fn content(self, image: usize) -> Option<Content> {
        let data = |offset| Some(Content::Data { image, offset });
        match self {
            Truth::Unallocated => Some(Content::Unallocated),
            Truth::Zero => Some(Content::Zero),
            Truth::At(offset) => data(Some(offset)),
            Truth::Compressed { .. } => data(None),
            Truth::Corrupt | Truth::Doubtful => None,
        }
    }
}

impl<S: Storage> Image<S> {
    /// Returns the size of the disk in bytes.
    pub fn size(&self) -> u64 {
        match &self.header {
            Some(header) => header.virtual_size / SECTOR * SECTOR,
            None => self.storage.length().next_multiple_of(SECTOR),
        }
    }

    /// Returns where the byte at `offset` of the disk is.
    pub fn truth(&self, offset: u64) -> Truth {
        let length = self.storage.length();
        let Some(header) = &self.header else {
            return if offset < length {
                Truth::At(offset)
            } else {
                Truth::Zero
            };
        };
        let cluster_size = header.cluster_size();
        let entry_size = if header.has_extended_l2() { 16 } else { 8 };
        let (cluster, in_cluster) = (offset / cluster_size, offset % cluster_size);
        let entries = cluster_size / entry_size;

        let table = self.entry(header.l1_offset + cluster / entries * 8) & OFFSET;
        if table == 0 {
            return Truth::Unallocated;
        }
        let entry = table + cluster % entries * entry_size;
        if !table.is_multiple_of(cluster_size) || entry + entry_size > length {
            return Truth::Corrupt;
        }
        // A reader may read the whole table, or only the entries around this one.
        if table + cluster_size > length {
            return Truth::Doubtful;
        }
        let value = self.entry(entry);
        let host = value & OFFSET;
        let truth = if value >> 62 & 1 == 1 {
            let bits = 62 - (header.cluster_bits - 8);
            let offset = value & ((1 << bits) - 1);
            let sectors = (value & ((1 << 62) - 1)) >> bits;
            let length = (sectors + 1) * 512 - offset % 512;
            Truth::Compressed { offset, length }
        } else if !host.is_multiple_of(cluster_size) {
            Truth::Corrupt
        } else if entry_size == 16 {
            let bitmap = self.entry(entry + 8);
            let subcluster = in_cluster / (cluster_size / 32);
            let is = |bit: u64| bitmap >> bit & 1 == 1;
            let is_corrupt = (0..32).any(|bit| is(bit) && (is(bit + 32) || host == 0));
            match () {
                () if is_corrupt => Truth::Corrupt,
                () if is(subcluster + 32) => Truth::Zero,
                () if is(subcluster) => Truth::At(host + in_cluster),
                () => Truth::Unallocated,
            }
        } else if value & 1 == 1 {
            match header.version {
                Version::V2 => Truth::Corrupt,
                Version::V3 => Truth::Zero,
            }
        } else if host == 0 {
            Truth::Unallocated
        } else {
            Truth::At(host + in_cluster)
        };
        // The cluster must begin in the file; with extended entries, the subcluster.
        let start = match truth {
            Truth::At(at) if entry_size == 16 => at - in_cluster % (cluster_size / 32),
            Truth::At(_) => host,
            Truth::Compressed { offset, .. } => offset,
            other => return other,
        };
        if start < length {
            truth
        } else {
            Truth::Corrupt
        }
    }

    fn entry(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.storage.read_at(&mut bytes, offset).expect("memory");
        u64::from_be_bytes(bytes)
    }

    /// Fills `buffer` with the content at `offset` of the disk, if `truth` says where that is.
    /// Of compressed clusters only those that [`stored`] makes are known.
    fn read(&self, truth: Truth, buffer: &mut [u8], offset: u64) -> Option<()> {
        let at = match truth {
            Truth::Unallocated | Truth::Zero => {
                buffer.fill(0);
                return Some(());
            }
            Truth::At(at) => at,
            Truth::Compressed { offset: at, length } => {
                let header = self.header.as_ref()?;
                let start = stored_start(header.compression, header.cluster_size())?;
                let mut found = vec![0; start.len()];
                self.storage.read_at(&mut found, at).expect("memory");
                let is_whole = start.len() as u64 + header.cluster_size() <= length;
                if found != start || !is_whole {
                    return None;
                }
                at + start.len() as u64 + offset % header.cluster_size()
            }
            Truth::Corrupt | Truth::Doubtful => return None,
        };
        self.storage.read_at(buffer, at).expect("memory");
        Some(())
    }
}

/// Returns where the byte at `offset` is on the disk that the first `depth` of `images` make, and
/// in which image.
pub fn find<S: Storage>(images: &[Image<S>], offset: u64, depth: usize) -> (Truth, usize) {
    for (index, image) in images.iter().enumerate().take(depth) {
        if offset >= image.size() {
            return (Truth::Zero, index);
        }
        match image.truth(offset) {
            Truth::Unallocated => {}
            truth => return (truth, index),
        }
    }
    if depth < images.len() {
        (Truth::Unallocated, depth)
    } else {
        (Truth::Zero, depth)
    }
}

/// Fills `buffer`, at most one sector, with the content at `offset` of the disk if that is known;
/// an error says that it is corrupt.
pub fn read<S: Storage>(
    images: &[Image<S>],
    buffer: &mut [u8],
    offset: u64,
) -> Result<Option<()>, ()> {
    match find(images, offset, images.len()) {
        (Truth::Corrupt, _) => Err(()),
        (truth, index) => {
            let image = images.get(index).unwrap_or(&images[0]);
            Ok(image.read(truth, buffer, offset))
        }
    }
}

/// Returns a cluster in the format of compression type `compression`, but not compressed.
pub fn stored(compression: u8, cluster: &[u8]) -> Option<Vec<u8>> {
    let start = stored_start(compression, cluster.len() as u64)?;
    Some([&start, cluster].concat())
}

/// Returns the bytes in front of the content, for one stored block of deflate (RFC 1951, 3.2.4) or
/// a frame of zstd with one raw block (RFC 8878, 3.1.1).
fn stored_start(compression: u8, cluster_size: u64) -> Option<Vec<u8>> {
    let size = u16::try_from(cluster_size).ok()?;
    let (one, other) = (size.to_le_bytes(), (!size).to_le_bytes());
    let block = (u32::from(size) << 3 | 1).to_le_bytes();
    Some(match compression {
        0 => [&[1][..], &one, &other].concat(),
        _ => [
            &[0x28, 0xb5, 0x2f, 0xfd, 0xa0][..],
            &one,
            &[0, 0],
            &block[..3],
        ]
        .concat(),
    })
}
