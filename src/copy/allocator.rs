//! Clusters of a new image: raw ones go to their own offset, qcow2 ones where the packer says.

use std::ops::Range;

use crate::copy::packer::{L2Table, NewCluster, Packer};

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
    Packed(Box<Packer>),
}

/// Consecutive bytes of a part of the disk, or of its compressed clusters, that are consecutive
/// in the file too.
pub(crate) struct Run {
    pub is_compressed: bool,
    /// Where they are in the part, or in its compressed clusters, which follow each other.
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
        clusters: &[NewCluster],
        subclusters: Subclusters,
    ) -> (Vec<Run>, Vec<L2Table>) {
        let (mut runs, mut tables) = (Vec::new(), Vec::new());
        let mut compressed = 0;
        for (index, &cluster) in clusters.iter().enumerate() {
            let from = index * subclusters.cluster_size();
            let at = offset + from as u64;
            let data = cluster.subclusters.data;
            let host = match self {
                Allocator::Raw => Some(at),
                Allocator::Packed(packer) => {
                    let (host, complete) = packer.put(at, cluster);
                    tables.extend(complete);
                    host
                }
            };
            let Some(host) = host.filter(|_| data != 0) else {
                continue;
            };
            if let Some(length) = cluster.compressed {
                add(&mut runs, true, compressed..compressed + length, host);
                compressed += length;
                continue;
            }
            for subcluster in (0..subclusters.count).filter(|bit| data & 1 << bit != 0) {
                let skipped = subcluster as usize * subclusters.size;
                let from = from + skipped..from + skipped + subclusters.size;
                add(&mut runs, false, from, host + skipped as u64);
            }
        }
        (runs, tables)
    }
}

/// Adds bytes to the last run if they continue it, else as a new run.
fn add(runs: &mut Vec<Run>, is_compressed: bool, from: Range<usize>, to: u64) {
    match runs.last_mut() {
        Some(run)
            if run.is_compressed == is_compressed
                && run.from.end == from.start
                && run.to + run.from.len() as u64 == to =>
        {
            run.from.end = from.end;
        }
        _ => runs.push(Run {
            is_compressed,
            from,
            to,
        }),
    }
}
