//! Copies the content of a disk, with a few threads.
//!
//! Each thread takes the next part of the disk, reads it, waits for its turn to get places for
//! the clusters, and writes them. So one thread reads while another writes, and the places
//! are the same whatever the number of threads.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::format::zeros::{data_ranges, is_same, is_zero};
use crate::image::disk_reader::{Content, DiskReader};
use crate::image::storage::Storage;
use crate::make::buffer::Buffer;
use crate::make::difference::{in_base, read_padded, Candidates};
use crate::make::output::Output;
use crate::make::packer::{L2Table, Packer, Units};

/// Bytes that a thread reads at once, unless a cluster is larger.
pub(crate) const PART: u64 = 1 << 19;
/// Zeros of this length are left out within a cluster too. They become holes.
const BLOCK: usize = 4096;

/// Where the next part of a disk comes from.
pub(crate) enum Input<'a, S> {
    Disk(Candidates<'a, S>),
    Stream(Stream<'a>),
}

/// A disk that can only be read once, from its start on.
pub(crate) struct Stream<'a> {
    pub reader: &'a mut (dyn Read + Send),
    /// Bytes read so far.
    pub length: u64,
    /// The most there may be.
    pub limit: u64,
    /// Zeros follow up to here.
    pub padded_to: u64,
    pub position: u64,
    pub is_at_end: bool,
}

/// Where clusters go.
pub(crate) enum Places {
    /// To where they are on the disk.
    Raw,
    Packed(Packer),
}

/// A copy that is under way.
pub(crate) struct Pipeline<'a, S, O> {
    /// What is copied, unless it is a stream.
    pub source: Option<&'a DiskReader<S>>,
    /// What need not be recorded.
    pub base: Option<&'a DiskReader<S>>,
    pub output: &'a O,
    /// The most bytes of a part.
    pub part: usize,
    pub unit_size: usize,
    pub units: u32,
    pub threads: usize,
    /// Is told how many bytes of the disk are done with.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// The next part to be read, and its number.
struct Queue<'a, S> {
    input: Input<'a, S>,
    next: u64,
}

/// Whose turn it is to get places.
struct Turns {
    places: Places,
    next: u64,
    error: Option<io::Error>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panics takes the others with it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Storage, O: Output> Pipeline<'_, S, O> {
    /// Copies all of `input`. Returns the places, and the length of a stream.
    pub fn run(&self, input: Input<S>, places: Places) -> io::Result<(Places, u64)> {
        let queue = Mutex::new(Queue { input, next: 0 });
        let turns = Mutex::new(Turns {
            places,
            next: 0,
            error: None,
        });
        let turned = Condvar::new();
        let work = || {
            if let Err(error) = self.work(&queue, &turns, &turned) {
                lock(&turns).error.get_or_insert(error);
                turned.notify_all();
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(work);
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
            let (runs, tables) = self.place(&mut turn.places, part.start, &clusters);
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

    /// What is to be recorded of each cluster in `bytes`, with what is `beneath` them.
    fn clusters(&self, bytes: &[u8], beneath: &[u8]) -> Vec<Units> {
        let mut clusters = vec![Units::default(); bytes.len() / self.cluster_size()];
        for (index, unit) in bytes.chunks_exact(self.unit_size).enumerate() {
            let start = index * self.unit_size;
            let cluster = &mut clusters[start / self.cluster_size()];
            let bit = 1 << (index as u32 % self.units);
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

    /// The places of the data in `clusters`, which start at `offset` of the disk.
    fn place(
        &self,
        places: &mut Places,
        offset: u64,
        clusters: &[Units],
    ) -> (Vec<Run>, Vec<L2Table>) {
        let (mut runs, mut tables) = (Vec::<Run>::new(), Vec::new());
        for (index, &units) in clusters.iter().enumerate() {
            let from = index * self.cluster_size();
            let at = offset + from as u64;
            let host = match places {
                Places::Raw => (units.data != 0).then_some(at),
                Places::Packed(packer) => {
                    let (host, complete) = packer.put(at, units);
                    tables.extend(complete);
                    host
                }
            };
            let Some(host) = host.filter(|_| units.data != 0) else {
                continue;
            };
            for unit in (0..self.units).filter(|unit| units.data & 1 << unit != 0) {
                let skipped = unit as usize * self.unit_size;
                let (from, to) = (from + skipped, host + skipped as u64);
                match runs.last_mut() {
                    Some(run) if run.from.end == from && run.to + run.from.len() as u64 == to => {
                        run.from.end += self.unit_size;
                    }
                    _ => runs.push(Run {
                        from: from..from + self.unit_size,
                        to,
                    }),
                }
            }
        }
        (runs, tables)
    }

    /// Writes what is at `offset` of the disk to byte `to` of the output.
    fn write(&self, bytes: &[u8], offset: u64, to: u64) -> io::Result<()> {
        let shared = self.share(offset, to, bytes.len())?;
        let (bytes, to) = (&bytes[shared..], to + shared as u64);
        for range in data_ranges(bytes, BLOCK) {
            let start = range.start as u64;
            self.output.write_at(&bytes[range], to + start)?;
        }
        Ok(())
    }

    /// Lets the output share the first blocks of what is at `offset` of the disk.
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

    fn cluster_size(&self) -> usize {
        self.unit_size * self.units as usize
    }
}

/// Bytes of a part that stay together.
struct Run {
    from: Range<usize>,
    to: u64,
}

impl<S: Storage> Input<'_, S> {
    /// The next part of the disk; that of a stream is read into `bytes`.
    fn next(&mut self, bytes: &mut [u8]) -> io::Result<Option<Range<u64>>> {
        match self {
            Input::Disk(disk) => disk.next(),
            Input::Stream(stream) => stream.next(bytes),
        }
    }
}

impl Stream<'_> {
    fn next(&mut self, bytes: &mut [u8]) -> io::Result<Option<Range<u64>>> {
        let mut length = 0;
        while length < bytes.len() && !self.is_at_end {
            match self.reader.read(&mut bytes[length..]) {
                Ok(0) => self.is_at_end = true,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let start = self.position;
        if length == 0 && start >= self.padded_to {
            return Ok(None);
        }
        bytes[length..].fill(0);
        self.length += length as u64;
        self.position += bytes.len() as u64;
        if self.length > self.limit {
            return Err(io::Error::other(format!(
                "it has more than {} bytes, the size of the disk",
                self.limit
            )));
        }
        Ok(Some(start..self.position))
    }
}
