//! Copies the content of a disk, with a few threads.
//!
//! Each thread takes the next part of the disk, reads it, waits for its turn to get places for
//! the clusters, and writes them. So one thread reads while another writes, and the number of
//! threads does not change the places.

use std::io;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::copy::buffer::Buffer;
use crate::copy::difference::{in_base, read_padded, Candidates};
use crate::copy::output::Output;
use crate::copy::packer::Units;
use crate::copy::places::{Grain, Places};
use crate::copy::stream::Stream;
use crate::format::zeros::{data_ranges, is_same, is_zero};
use crate::image::disk_reader::{Content, DiskReader};
use crate::image::storage::Storage;

/// Number of bytes that a thread reads at once, unless a cluster is larger.
pub(crate) const PART: u64 = 1 << 19;
/// Blocks of zeros of this length become holes, within a cluster too.
const BLOCK: usize = 4096;

/// Where the parts of a disk come from.
pub(crate) enum Input<'a, S> {
    Disk(Candidates<'a, S>),
    Stream(Stream<'a>),
}

/// A copy: from where, to where and how.
pub(crate) struct Pipeline<'a, S, O> {
    /// The disk to copy, unless it is a stream.
    pub source: Option<&'a DiskReader<S>>,
    /// The disk of the backing file, if there is one. Content that is the same there is left out.
    pub base: Option<&'a DiskReader<S>>,
    pub output: &'a O,
    /// The largest length of a part, in bytes.
    pub part: usize,
    pub grain: Grain,
    pub threads: usize,
    /// Is called with the number of bytes of the disk that are done.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// The parts that have not been read, and the number of the next one.
struct Queue<'a, S> {
    input: Input<'a, S>,
    next: u64,
}

/// The number of the part whose turn it is to get places.
struct Turns {
    places: Places,
    next: u64,
    error: Option<io::Error>,
}

/// Ends the other threads if one panics, as the caller's `progress` can: they would wait for
/// its turn forever.
struct EndOnPanic<'a>(&'a Mutex<Turns>, &'a Condvar);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = io::Error::other("a thread has panicked");
            lock(self.0).error.get_or_insert(error);
            self.1.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panics ends the others too.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Storage, O: Output> Pipeline<'_, S, O> {
    /// Copies all of `input`. Returns the places, and the length of the disk in bytes.
    pub fn run(&self, input: Input<S>, places: Places) -> io::Result<(Places, u64)> {
        let queue = Mutex::new(Queue { input, next: 0 });
        let turns = Mutex::new(Turns {
            places,
            next: 0,
            error: None,
        });
        let turned = Condvar::new();
        let work = || {
            let _guard = EndOnPanic(&turns, &turned);
            if let Err(error) = self.work(&queue, &turns, &turned) {
                lock(&turns).error.get_or_insert(error);
                turned.notify_all();
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.threads {
                let thread = thread::Builder::new();
                // A limit on processes ends with fewer threads.
                if thread.spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        let turns = turns.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = turns.error {
            return Err(error);
        }
        let length = match lock(&queue).input {
            Input::Disk(ref disk) => disk.size,
            Input::Stream(ref stream) => stream.length,
        };
        Ok((turns.places, length))
    }

    /// Copies parts until there are no more, or until another thread has failed.
    fn work(
        &self,
        queue: &Mutex<Queue<S>>,
        turns: &Mutex<Turns>,
        turned: &Condvar,
    ) -> io::Result<()> {
        let mut buffer = Buffer::new(self.part);
        let mut beneath = Buffer::new(self.base.map_or(0, |_| self.part));
        loop {
            let (number, part) = {
                let mut queue = lock(queue);
                let Some(part) = queue.input.next(buffer.first(self.part))? else {
                    return Ok(());
                };
                queue.next += 1;
                (self.progress)(part.start);
                (queue.next - 1, part)
            };
            let length = (part.end - part.start) as usize;
            let bytes = buffer.first(length);
            if let Some(source) = self.source {
                read_padded(source, bytes, part.start)?;
            }
            let beneath = match self.base {
                Some(base) => {
                    let beneath = beneath.first(length);
                    read_padded(base, beneath, part.start).map_err(in_base)?;
                    &*beneath
                }
                None => &[],
            };
            let clusters = self.clusters(bytes, beneath);

            let mut turn = lock(turns);
            while turn.next != number && turn.error.is_none() {
                turn = turned.wait(turn).unwrap_or_else(PoisonError::into_inner);
            }
            if turn.error.is_some() {
                return Ok(());
            }
            let (runs, tables) = turn.places.place(part.start, &clusters, self.grain);
            turn.next += 1;
            drop(turn);
            turned.notify_all();

            for table in tables {
                self.output.write_at(&table.bytes, table.offset)?;
            }
            for run in runs {
                self.write(
                    &bytes[run.from.clone()],
                    part.start + run.from.start as u64,
                    run.to,
                )?;
            }
        }
    }

    /// Returns what to record of each cluster in `bytes`, given the content of the base there.
    fn clusters(&self, bytes: &[u8], beneath: &[u8]) -> Vec<Units> {
        let Grain { unit_size, units } = self.grain;
        let mut clusters = vec![Units::default(); bytes.len() / self.grain.cluster_size()];
        for (index, unit) in bytes.chunks_exact(unit_size).enumerate() {
            let start = index * unit_size;
            let cluster = &mut clusters[index / units as usize];
            let bit = 1 << (index as u32 % units);
            let is_zero = is_zero(unit);
            let is_left_out = match self.base {
                Some(_) => is_same(unit, &beneath[start..start + unit.len()]),
                None => is_zero,
            };
            match () {
                () if is_left_out => {}
                () if is_zero => cluster.zeros |= bit,
                () => cluster.data |= bit,
            }
        }
        clusters
    }

    /// Writes `bytes`, the content at `offset` of the disk, to byte `to` of the output.
    fn write(&self, bytes: &[u8], offset: u64, to: u64) -> io::Result<()> {
        let shared = self.share(offset, to, bytes.len())?;
        let (bytes, to) = (&bytes[shared..], to + shared as u64);
        for range in data_ranges(bytes, BLOCK) {
            let start = range.start as u64;
            self.output.write_at(&bytes[range], to + start)?;
        }
        Ok(())
    }

    /// Lets the output share the content from `offset` of the disk on, as far as it can. Returns
    /// how many bytes it shares.
    fn share(&self, offset: u64, to: u64, length: usize) -> io::Result<usize> {
        let Some(source) = self.source.filter(|_| self.output.is_sharing()) else {
            return Ok(0);
        };
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            if at >= source.virtual_size() {
                break;
            }
            let extent = source.extent(at, source.depth())?;
            let Content::Data {
                image,
                offset: Some(start),
            } = extent.content
            else {
                break;
            };
            let Some(file) = source.storage(image).file() else {
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

impl<S: Storage> Input<'_, S> {
    /// Returns the next part of the disk. A part of a stream is read into `bytes`.
    fn next(&mut self, bytes: &mut [u8]) -> io::Result<Option<Range<u64>>> {
        match self {
            Input::Disk(disk) => disk.next(),
            Input::Stream(stream) => stream.next(bytes),
        }
    }
}
