//! Copies the content of a disk with a few threads, without zeros and what the base holds.
//!
//! Each thread takes the next part of the disk, reads it, waits until it may allocate clusters for
//! it, and writes them. So one thread reads or compresses while another writes, and the number of
//! threads does not change where the clusters are.

use std::sync::Mutex;
use std::thread;

use crate::copy::allocator::{Allocator, Subclusters};
use crate::copy::buffer::Buffer;
use crate::copy::difference::{in_base, read_padded};
use crate::copy::output::Output;
use crate::copy::packer::NewCluster;
use crate::copy::source::{Part, Source};
use crate::copy::turns::{lock, EndOnPanic, Turns};
use crate::format::compression::compression_type::CompressionType;
use crate::format::compression::compressor::Compressor;
use crate::format::error::{Error, Result};
use crate::format::zeros::{data_ranges, is_same, is_zero};
use crate::image::disk_reader::{Content, DiskReader};
use crate::image::storage::Storage;

/// Number of bytes that a thread reads at once, unless a cluster is larger.
pub(crate) const PART: u64 = 1 << 19;
/// Blocks of zeros of this length become holes, within a cluster too.
const BLOCK: usize = 4096;

/// A copy: to where and how.
pub(crate) struct Pipeline<'a, S, O> {
    /// The disk of the backing file, if there is one. Content that is the same there is left out.
    pub base: Option<&'a DiskReader<S>>,
    pub output: &'a O,
    pub subclusters: Subclusters,
    /// How to compress the clusters that get smaller by it; none to leave all as they are.
    pub compression_type: Option<CompressionType>,
    pub threads: usize,
    /// Is called with the number of bytes of the disk that are done.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// The parts that have not been read, and the number of the next one.
struct Queue<'a, S> {
    source: Source<'a, S>,
    next: u64,
}

/// The memory of a thread.
struct Buffers {
    content: Buffer,
    backing: Buffer,
    compressor: Option<Compressor>,
    compressed: Vec<u8>,
}

impl<S: Storage, O: Output> Pipeline<'_, S, O> {
    /// Copies all of `source`. Returns the allocator, and the length of the disk in bytes.
    pub fn run(&self, source: Source<S>, allocator: Allocator) -> Result<(Allocator, u64)> {
        let part_size = PART
            .max(self.subclusters.cluster_size() as u64)
            .max(source.largest_cluster())
            .max(self.base.map_or(0, DiskReader::largest_cluster));
        // A thread needs up to 16 MiB for clusters of 2 MiB that are decompressed, compared with
        // others of the base, and compressed.
        let threads = if part_size > PART && self.base.is_some() {
            self.threads.min(2)
        } else {
            self.threads
        };
        let queue = Mutex::new(Queue { source, next: 0 });
        let turns = Turns::new(allocator);
        let work = || {
            let _guard = EndOnPanic(&turns);
            if let Err((part, error)) = self.work(part_size as usize, &queue, &turns) {
                turns.fail(part, error);
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                let thread = thread::Builder::new();
                // A limit on processes ends with fewer threads.
                if thread.spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        let allocator = turns.end()?;
        let length = lock(&queue).source.length();
        Ok((allocator, length))
    }

    /// Copies parts until there are no more, or until one has failed. An error comes with the number
    /// of the part.
    fn work(
        &self,
        part_size: usize,
        queue: &Mutex<Queue<S>>,
        turns: &Turns,
    ) -> std::result::Result<(), (u64, Error)> {
        let mut buffers = Buffers {
            content: Buffer::new(part_size),
            backing: Buffer::new(self.base.map_or(0, |_| part_size)),
            compressor: self.compression_type.map(Compressor::new),
            compressed: Vec::new(),
        };
        loop {
            let (number, part) = {
                let mut queue = lock(queue);
                // A stream can take its time.
                if turns.has_failed() {
                    return Ok(());
                }
                let number = queue.next;
                let cluster_size = self.subclusters.cluster_size() as u64;
                let buffer = buffers.content.first(part_size);
                let next = queue.source.next(buffer, cluster_size);
                let Some(part) = next.map_err(|error| (number, error))? else {
                    return Ok(());
                };
                queue.next += 1;
                (self.progress)(part.range.start);
                (number, part)
            };
            self.copy_part(number, &part, &mut buffers, turns)
                .map_err(|error| (number, error))?;
        }
    }

    /// Copies a part, unless one before it has failed.
    fn copy_part(
        &self,
        number: u64,
        part: &Part<S>,
        buffers: &mut Buffers,
        turns: &Turns,
    ) -> Result<()> {
        let start = part.range.start;
        let length = (part.range.end - start) as usize;
        let bytes = buffers.content.first(length);
        if let Some(disk) = part.disk {
            read_padded(disk, bytes, start)?;
        }
        let backing = match self.base {
            Some(base) => {
                let backing = buffers.backing.first(length);
                read_padded(base, backing, start).map_err(in_base)?;
                &*backing
            }
            None => &[],
        };
        let mut clusters = self.clusters(bytes, backing);
        let compressed = &mut buffers.compressed;
        compressed.clear();
        if let Some(compressor) = &mut buffers.compressor {
            self.compress(compressor, bytes, &mut clusters, compressed);
        }

        let allocated = turns.take(number, |allocator| {
            allocator.allocate(start, &clusters, self.subclusters)
        });
        let Some((runs, tables)) = allocated else {
            return Ok(());
        };
        for table in tables {
            self.output.write_at(&table.bytes, table.offset)?;
        }
        for run in runs {
            if run.is_compressed {
                self.output.write_at(&compressed[run.from], run.to)?;
                continue;
            }
            self.write(
                &bytes[run.from.clone()],
                part.disk,
                start + run.from.start as u64,
                run.to,
            )?;
        }
        Ok(())
    }

    /// Returns what to record of each cluster in `bytes`, given the content of the base there.
    fn clusters(&self, bytes: &[u8], backing: &[u8]) -> Vec<NewCluster> {
        let Subclusters { size, count } = self.subclusters;
        let mut clusters =
            vec![NewCluster::default(); bytes.len() / self.subclusters.cluster_size()];
        for (index, subcluster) in bytes.chunks_exact(size).enumerate() {
            let start = index * size;
            let cluster = &mut clusters[index / count as usize].subclusters;
            let bit = 1 << (index as u32 % count);
            let is_zero = is_zero(subcluster);
            let is_left_out = match self.base {
                Some(_) => is_same(subcluster, &backing[start..start + subcluster.len()]),
                None => is_zero,
            };
            if is_zero && !is_left_out {
                cluster.zeros |= bit;
            } else if !is_left_out {
                cluster.data |= bit;
            }
        }
        clusters
    }

    /// Compresses the clusters that have data, all that is in `bytes` of each. Appends to `output`
    /// those that get smaller.
    fn compress(
        &self,
        compressor: &mut Compressor,
        bytes: &[u8],
        clusters: &mut [NewCluster],
        output: &mut Vec<u8>,
    ) {
        let contents = bytes.chunks_exact(self.subclusters.cluster_size());
        for (cluster, content) in clusters.iter_mut().zip(contents) {
            if cluster.subclusters.data != 0 {
                cluster.compressed = compressor.compress(content, output);
            }
        }
    }

    /// Writes `bytes`, the content at `offset` of the disk, to byte `to` of the output.
    fn write(
        &self,
        bytes: &[u8],
        disk: Option<&DiskReader<S>>,
        offset: u64,
        to: u64,
    ) -> Result<()> {
        let shared = match disk {
            Some(disk) if self.output.is_sharing() => self.share(disk, offset, to, bytes.len())?,
            _ => 0,
        };
        let (bytes, to) = (&bytes[shared..], to + shared as u64);
        for range in data_ranges(bytes, BLOCK) {
            let start = range.start as u64;
            self.output.write_at(&bytes[range], to + start)?;
        }
        Ok(())
    }

    /// Lets the output share the content from `offset` of the disk on, as far as it can. Returns
    /// how many bytes it shares.
    fn share(&self, disk: &DiskReader<S>, offset: u64, to: u64, length: usize) -> Result<usize> {
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            if at >= disk.virtual_size() {
                break;
            }
            let extent = disk.extent(at, disk.depth())?;
            let Content::Data {
                image,
                offset: Some(start),
            } = extent.content
            else {
                break;
            };
            let Some(file) = disk.storage(image).file() else {
                break;
            };
            let most = extent.length.min((length - done) as u64) as usize;
            let count = self.output.share(file, start, to + done as u64, most);
            done += count;
            if count < most {
                break;
            }
        }
        Ok(done)
    }
}
