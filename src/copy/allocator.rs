//! Allocates the clusters of a new image, raw or qcow2.

use std::ops::Range;

use crate::copy::packer::{L2Table, Packer, SubclusterBitmap};

/// The subclusters of a new image. Without `extended_l2` a cluster has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subclusters {
    /// Bytes in a subcluster.
    pub size: usize,
    /// Subclusters in a cluster.
    pub count: u32,
}

impl Subclusters {
    pub fn cluster_size(&self) -> usize {
        self.size * self.count as usize
    }
}

/// Decides where clusters go in the file.
pub(crate) enum Allocator {
    /// To the offset that they have on the disk.
    Raw,
    Packed(Packer),
}

/// Consecutive bytes of a part of the disk that are consecutive in the file too.
pub(crate) struct Run {
    /// Where they are in the part.
    pub from: Range<usize>,
    /// Where they go in the file.
    pub to: u64,
}

impl Allocator {
    /// Allocates `clusters`, which start at `offset` of the disk. Returns the runs of
    /// their data, and the L2 tables that are now complete.
    pub fn allocate(
        &mut self,
        offset: u64,
        clusters: &[SubclusterBitmap],
        subclusters: Subclusters,
    ) -> (Vec<Run>, Vec<L2Table>) {
        let (mut runs, mut tables) = (Vec::<Run>::new(), Vec::new());
        for (index, &bitmap) in clusters.iter().enumerate() {
            let from = index * subclusters.cluster_size();
            let at = offset + from as u64;
            let host = match self {
                Allocator::Raw => (bitmap.data != 0).then_some(at),
                Allocator::Packed(packer) => {
                    let (host, complete) = packer.put(at, bitmap);
                    tables.extend(complete);
                    host
                }
            };
            let Some(host) = host.filter(|_| bitmap.data != 0) else {
                continue;
            };
            for subcluster in
                (0..subclusters.count).filter(|subcluster| bitmap.data & 1 << subcluster != 0)
            {
                let skipped = subcluster as usize * subclusters.size;
                let (from, to) = (from + skipped, host + skipped as u64);
                match runs.last_mut() {
                    Some(run) if run.from.end == from && run.to + run.from.len() as u64 == to => {
                        run.from.end += subclusters.size;
                    }
                    _ => runs.push(Run {
                        from: from..from + subclusters.size,
                        to,
                    }),
                }
            }
        }
        (runs, tables)
    }
}
