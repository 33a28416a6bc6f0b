//! The places of the clusters of a new image, raw or qcow2.

use std::ops::Range;

use crate::copy::packer::{L2Table, Packer, Units};

/// The units of a new image, see [`Mapping`](crate::format::tables::mapping::Mapping::units).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grain {
    /// Bytes in a unit.
    pub unit_size: usize,
    /// Units in a cluster.
    pub units: u32,
}

impl Grain {
    pub fn cluster_size(&self) -> usize {
        self.unit_size * self.units as usize
    }
}

/// Where clusters go in the file.
pub(crate) enum Places {
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

impl Places {
    /// Assigns places to `clusters`, which start at `offset` of the disk. Returns the runs of
    /// their data, and the L2 tables that are now complete.
    pub fn place(
        &mut self,
        offset: u64,
        clusters: &[Units],
        grain: Grain,
    ) -> (Vec<Run>, Vec<L2Table>) {
        let (mut runs, mut tables) = (Vec::<Run>::new(), Vec::new());
        for (index, &units) in clusters.iter().enumerate() {
            let from = index * grain.cluster_size();
            let at = offset + from as u64;
            let host = match self {
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
            for unit in (0..grain.units).filter(|unit| units.data & 1 << unit != 0) {
                let skipped = unit as usize * grain.unit_size;
                let (from, to) = (from + skipped, host + skipped as u64);
                match runs.last_mut() {
                    Some(run) if run.from.end == from && run.to + run.from.len() as u64 == to => {
                        run.from.end += grain.unit_size;
                    }
                    _ => runs.push(Run {
                        from: from..from + grain.unit_size,
                        to,
                    }),
                }
            }
        }
        (runs, tables)
    }
}
