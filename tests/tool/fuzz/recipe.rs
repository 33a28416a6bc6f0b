//! Images made from a few bytes. A fuzzer then changes an entry of a table, not a byte of a header
//! that is refused, and need not supply the data.
#![allow(dead_code)] // no fuzz target uses everything

use qcow2_overlay::{Header, Version, SECTOR};

use crate::model::{stored, Image};
use crate::sparse::{Part, Sparse};

/// How many clusters a file has from the first L2 table on.
const CLUSTERS: u64 = 64;
/// How many of them can be L2 tables.
const TABLES: u64 = 4;
const SIZES: [u64; 4] = [SECTOR, 8 * SECTOR, 1 << 17, 1 << 26];
/// Few are large: the reader reads 4 KiB of entries at a time, which takes long with subclusters.
const CLUSTER_BITS: [u32; 12] = [9, 9, 9, 9, 9, 9, 9, 10, 12, 14, 14, 21];

/// The bytes of a recipe, followed by zeros.
pub struct Recipe<'a>(pub &'a [u8]);

impl Recipe<'_> {
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    pub fn number<const COUNT: usize>(&mut self) -> u64 {
        (0..COUNT).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }
}

/// Returns the images of a chain, the topmost first, of at most `most` bytes each, and offsets on
/// the disk at which L2 tables begin and runs of clusters end.
pub fn chain(recipe: &mut Recipe, most: u64) -> (Vec<Image<Sparse>>, Vec<u64>) {
    let (mut images, mut starts) = (Vec::new(), Vec::new());
    let kinds = recipe.byte();
    for index in 0..=kinds % 3 {
        let image = match kinds >> (2 + index) & 1 {
            1 => raw(recipe, most),
            _ => match qcow2(recipe, most, &mut starts) {
                Some(image) => image,
                None => break,
            },
        };
        images.push(image);
    }
    (images, starts)
}

fn raw(recipe: &mut Recipe, most: u64) -> Image<Sparse> {
    let fill = recipe.byte();
    let length = (recipe.number::<2>() * 17).min(most);
    let storage = Sparse::new(Vec::new(), length, fill);
    Image {
        storage,
        header: None,
    }
}

fn qcow2(recipe: &mut Recipe, most: u64, starts: &mut Vec<u64>) -> Option<Image<Sparse>> {
    let kind = recipe.byte();
    let is = |bit: u8| kind >> bit & 1 == 1;
    let mut header = Header {
        version: if is(0) { Version::V2 } else { Version::V3 },
        cluster_bits: recipe.pick(&CLUSTER_BITS),
        refcount_table_clusters: 1,
        refcount_order: 4,
        ..Header::default()
    };
    if header.version == Version::V3 {
        if is(1) && header.cluster_bits >= 14 {
            header.incompatible_features |= Header::EXTENDED_L2;
        }
        if is(2) {
            header.incompatible_features |= Header::COMPRESSION_TYPE;
            header.compression = 1;
        }
    }
    let cluster_size = header.cluster_size();
    let entry_size = if header.has_extended_l2() { 16 } else { 8 };
    let bytes_per_l2 = cluster_size / entry_size * cluster_size;
    let size = recipe.number::<2>() * recipe.pick(&SIZES) + u64::from(is(3));
    header.virtual_size = size.min(most).min(bytes_per_l2 << 20);
    let needed = header.virtual_size.div_ceil(bytes_per_l2);
    header.l1_entries = needed as u32 + u32::from(is(4)) * 9;
    header.l1_offset = cluster_size;
    let l1_length = 8 * u64::from(header.l1_entries);
    let first = cluster_size + l1_length.next_multiple_of(cluster_size);
    let mut length = first + CLUSTERS * cluster_size;
    if is(5) {
        let less = u64::from(recipe.byte()) * cluster_size / 4 + u64::from(recipe.byte());
        length = length.saturating_sub(less).max(first);
    }

    let mut file = File {
        header: &header,
        first,
        entry_size,
        parts: Vec::new(),
    };
    let mut l1 = Vec::new();
    let mut index = 0;
    for number in 0..u64::from(recipe.byte()) % (TABLES + 1) {
        let step = recipe.byte();
        index += match step % 4 {
            0 => recipe.number::<3>(),
            step => u64::from(step) - 1,
        };
        if index >= needed {
            break;
        }
        let offset = match step / 4 {
            0..48 => first + number * cluster_size,
            // Unaligned, at any cluster, at the end of the file, over the L1 table, over the
            // first L2 table.
            48 => first + number * cluster_size + 512,
            49 => recipe.number::<1>() * cluster_size,
            50 => length.next_multiple_of(cluster_size) - cluster_size,
            51 => header.l1_offset,
            _ => first,
        };
        let flags = u64::from(step & 0xf0) << 56 | u64::from(step & 0x1f);
        l1.resize(l1.len().max(index as usize + 1), 0);
        l1[index as usize] = offset | flags;
        starts.push(index * bytes_per_l2);
        file.table(recipe, offset, index * bytes_per_l2, starts);
        index += 1;
    }
    let File { mut parts, .. } = file;
    let bytes = l1.into_iter().flat_map(u64::to_be_bytes).collect();
    parts.push(Part {
        start: header.l1_offset,
        length: l1_length,
        bytes,
    });
    let storage = Sparse::new(parts, length, recipe.byte());
    let header = Header::parse(&header.encode()).expect("a good header");
    Some(Image {
        storage,
        header: Some(header),
    })
}

/// A qcow2 image that is being made.
struct File<'a> {
    header: &'a Header,
    /// The offset of the first L2 table.
    first: u64,
    entry_size: u64,
    parts: Vec<Part>,
}

impl File<'_> {
    /// Adds an L2 table at `offset` of the file, for the disk from `guest` on.
    fn table(&mut self, recipe: &mut Recipe, offset: u64, guest: u64, starts: &mut Vec<u64>) {
        let cluster_size = self.header.cluster_size();
        let entries = cluster_size / self.entry_size;
        let data = self.first + TABLES * cluster_size;
        let mut table = Vec::new();
        let mut index = 0;
        while index < entries && !recipe.0.is_empty() {
            let run = recipe.byte();
            let (kind, count) = (run % 8, u64::from(run / 8) + 1);
            if kind == 7 {
                match recipe.number::<2>() % entries {
                    0 => break,
                    skipped => index += skipped,
                }
                continue;
            }
            let place = u64::from(recipe.byte());
            let host = data + place % CLUSTERS * cluster_size;
            let bitmap = match self.entry_size {
                16 => bitmap(recipe),
                _ => 0,
            };
            let raw = if kind == 6 { recipe.number::<8>() } else { 0 };
            let count = if kind == 5 { count % 4 + 1 } else { count };
            for number in 0..count.min(entries - index) {
                let entry = match kind {
                    0 => 0,
                    1 => 1,
                    2 => host | 1,
                    3 => (host + number * cluster_size) | 1 << 63,
                    4 => host,
                    5 => self.compressed(data + number * cluster_size * 2, place, index),
                    _ => raw,
                };
                let at = ((index + number) * self.entry_size) as usize;
                table.resize(at, 0);
                table.extend(entry.to_be_bytes());
                if self.entry_size == 16 {
                    // Without a cluster, subclusters can only be zeros. Kind 1 breaks that rule.
                    let is_nowhere = kind == 0;
                    table.extend((bitmap & if is_nowhere { !0 << 32 } else { !0 }).to_be_bytes());
                }
            }
            if starts.len() < 16 {
                starts.push(guest + (index + count - 1) * cluster_size);
            }
            index += count;
        }
        self.parts.push(Part {
            start: offset,
            length: cluster_size,
            bytes: table,
        });
    }

    /// Returns the entry of a compressed cluster near `start`, and adds the data of a small one.
    fn compressed(&mut self, start: u64, place: u64, content: u64) -> u64 {
        let cluster_size = self.header.cluster_size();
        let start = start + place * 7;
        let bits = 62 - (self.header.cluster_bits - 8);
        let mut sectors = 1;
        let byte = |n: u64| (n / 64 + content + place) as u8;
        if cluster_size <= 4096 && self.parts.len() < 16 {
            let cluster: Vec<u8> = (0..cluster_size).map(byte).collect();
            let bytes = stored(self.header.compression, &cluster).expect("a small cluster");
            let length = bytes.len() as u64;
            sectors = (start + length - 1) / 512 - start / 512;
            self.parts.push(Part {
                start,
                length,
                bytes,
            });
        }
        1 << 62 | sectors << bits | start
    }
}

/// Returns the bitmap of an extended entry: zeros in the upper half, allocated in the lower half.
fn bitmap(recipe: &mut Recipe) -> u64 {
    let kind = recipe.byte();
    let ones = |count: u8| (1u64 << (count % 33)) - 1;
    match kind % 4 {
        0 => ones(32 - kind / 4 % 33 % 32),
        1 => ones(32) << 32,
        2 => {
            let allocated = recipe.number::<4>();
            recipe.number::<4>() << 32 & !(allocated << 32) | allocated
        }
        _ => recipe.number::<8>(),
    }
}
