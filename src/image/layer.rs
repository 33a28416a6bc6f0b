//! One image of a chain, and where it stores the content of its disk.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use crate::format::error::Result;
use crate::format::format_error::{check_end, FormatError};
use crate::format::header::Header;
use crate::format::size::SECTOR;
use crate::format::tables::limits::bytes_mapped_by_l2_table;
use crate::format::tables::mapping::{Mapping, Place};
use crate::image::storage::Storage;

/// Bytes of a table that are read and cached at once; fewer if a cluster is smaller.
const SLICE: u64 = 4096;
/// The most slices that are cached.
const MAX_SLICES: usize = 32;

/// A raw or qcow2 image without its backing chain.
pub(crate) struct Layer<S> {
    pub storage: S,
    pub virtual_size: u64,
    /// The tables of a qcow2 image.
    tables: Option<Tables>,
}

/// A part of the disk that is stored in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub place: Place,
    /// Length in bytes. The next part may continue in the same place.
    pub length: u64,
}

impl Part {
    fn at_most(self, length: u64) -> Self {
        Part {
            length: self.length.min(length),
            ..self
        }
    }
}

struct Tables {
    mapping: Mapping,
    compression: u8,
    l1: Table,
    bytes_per_l2: u64,
    /// The cache. The key is offset and length, because tables of different lengths can begin
    /// at the same offset in a corrupt image.
    slices: Mutex<Slices>,
}

impl<S: Storage> Layer<S> {
    /// Opens the raw image in `storage`, or with `header` the qcow2 image.
    ///
    /// # Errors
    ///
    /// [`FormatError::Encrypted`] and [`FormatError::ExternalData`] for images whose data cannot be
    /// read here, [`FormatError::Truncated`] if the file ends before its L1 or refcount table does.
    pub fn new(storage: S, header: Option<&Header>) -> Result<Self, FormatError> {
        let Some(header) = header else {
            return Ok(Layer {
                virtual_size: storage.length().next_multiple_of(SECTOR),
                storage,
                tables: None,
            });
        };
        if let Some(format) = header.encryption_format() {
            return Err(FormatError::Encrypted(format));
        }
        if header.has_incompatible(Header::EXTERNAL_DATA) {
            let name = header.data_file().unwrap_or_default().to_vec();
            return Err(FormatError::ExternalData(name));
        }
        header.check_file_length(storage.length())?;
        let tables = Tables {
            mapping: Mapping::new(header),
            compression: header.compression,
            l1: Table {
                what: "the L1 table",
                start: header.l1_offset,
                length: 8 * u64::from(header.l1_entries),
            },
            bytes_per_l2: bytes_mapped_by_l2_table(header.cluster_size(), header.has_extended_l2()),
            slices: Mutex::default(),
        };
        Ok(Layer {
            storage,
            virtual_size: header.virtual_size / SECTOR * SECTOR,
            tables: Some(tables),
        })
    }

    /// Returns the cluster size of a qcow2 image in bytes.
    pub fn cluster_size(&self) -> Option<u64> {
        self.tables.as_ref().map(|t| t.mapping.cluster_size())
    }

    /// Returns how clusters are compressed: 0 for zlib, 1 for zstd.
    pub fn compression(&self) -> u8 {
        self.tables.as_ref().map_or(0, |t| t.compression)
    }

    /// Finds where the content at `offset` is stored. `offset` must be below the virtual size.
    pub fn part(&self, offset: u64) -> Result<Part> {
        let length = self.virtual_size - offset;
        let part = match &self.tables {
            Some(tables) => tables.part(&self.storage, offset)?,
            // The last sector can extend beyond the end of the file.
            None if offset >= self.storage.length() => Part {
                place: Place::Zero,
                length,
            },
            None => {
                let (is_data, end) = self.storage.data_at(offset);
                Part {
                    place: if is_data {
                        Place::At(offset)
                    } else {
                        Place::Zero
                    },
                    length: end - offset,
                }
            }
        };
        Ok(part.at_most(length))
    }

    /// Like [`part`](Self::part), for a caller that reads the content anyway: it takes the
    /// holes of a raw image for data, because finding them costs a system call.
    pub fn part_to_read(&self, offset: u64) -> Result<Part> {
        match &self.tables {
            Some(_) => self.part(offset),
            None => Ok(Part {
                place: Place::At(offset),
                length: self.virtual_size - offset,
            }),
        }
    }
}

impl Tables {
    fn part(&self, storage: &impl Storage, offset: u64) -> Result<Part> {
        let index = offset / self.bytes_per_l2;
        let l1 = self.slice(storage, &self.l1, 8 * index)?;
        let Some(start) = self.mapping.l2_table(&l1[..8])? else {
            let entries = l1.chunks_exact(8);
            let empty = entries.take_while(|entry| self.mapping.l2_table(entry) == Ok(None));
            let end = (index + empty.count() as u64).saturating_mul(self.bytes_per_l2);
            return Ok(Part {
                place: Place::Unallocated,
                length: end - offset,
            });
        };
        let cluster_size = self.mapping.cluster_size();
        let (size, entry_size) = (self.mapping.subcluster_size(), self.mapping.entry_size());
        let table = Table {
            what: "an L2 table",
            start,
            length: cluster_size,
        };
        let in_table = offset % self.bytes_per_l2 / cluster_size * entry_size;
        let l2 = self.slice(storage, &table, in_table)?;

        let first = (offset % cluster_size / size) as usize;
        let places = l2.chunks_exact(entry_size as usize).flat_map(|entry| {
            let cluster = self.mapping.cluster(entry);
            (0..self.mapping.subclusters())
                .map(move |index| Ok(cluster.clone()?.subcluster(index, size)))
        });
        let mut part: Option<Part> = None;
        for place in places.skip(first) {
            let place = place.and_then(|place| self.check(place, storage.length()));
            match (&mut part, place) {
                (None, Err(error)) => return Err(error.into()),
                (None, Ok(place @ Place::Compressed(_))) => {
                    part = Some(Part {
                        place,
                        length: cluster_size - offset % cluster_size,
                    });
                    break;
                }
                (None, Ok(place)) => {
                    let skipped = offset % size;
                    part = Some(Part {
                        place: place.behind(skipped),
                        length: size - skipped,
                    });
                }
                (Some(part), Ok(place)) if place == part.place.behind(part.length) => {
                    part.length += size;
                }
                // A corrupt entry is an error when its own offset is asked for.
                (Some(_), _) => break,
            }
        }
        Ok(part.expect("a slice begins with the entry that was asked for"))
    }

    /// Checks that a cluster begins within the file. The last cluster of a file can be cut
    /// short: QEMU and others do not write the zeros at its end.
    fn check(&self, place: Place, length: u64) -> Result<Place, FormatError> {
        let start = match place {
            Place::At(offset) => offset,
            Place::Compressed(compressed) => compressed.offset,
            Place::Unallocated | Place::Zero => return Ok(place),
        };
        check_end("a cluster", start.saturating_add(1), length)?;
        Ok(place)
    }

    /// Returns the entries of a table from byte `position` on, at least one.
    fn slice(&self, storage: &impl Storage, table: &Table, position: u64) -> Result<Slice> {
        let start = position / SLICE * SLICE;
        let offset = table.start.saturating_add(start);
        let skipped = (position - start) as usize;
        let length = SLICE.min(table.length - start);
        let kept = |slices: &Slices| slices.get(&(offset, length)).cloned();
        // A thread that panics leaves the map intact.
        let lock = || self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = kept(&lock()) {
            return Ok(Slice { bytes, skipped });
        }
        check_end(table.what, offset.saturating_add(length), storage.length())?;
        let mut bytes = vec![0; length as usize];
        storage.read_at(&mut bytes, offset)?;
        let bytes = Arc::new(bytes);
        let mut slices = lock();
        if slices.len() >= MAX_SLICES {
            slices.clear();
        }
        slices.insert((offset, length), Arc::clone(&bytes));
        Ok(Slice { bytes, skipped })
    }
}

/// A table in the file.
struct Table {
    what: &'static str,
    start: u64,
    length: u64,
}

type Slices = HashMap<(u64, u64), Arc<Vec<u8>>>;

/// Bytes of a table. The first `skipped` of them are hidden.
struct Slice {
    bytes: Arc<Vec<u8>>,
    skipped: usize,
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.skipped..]
    }
}
