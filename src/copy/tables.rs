//! Writing the tables of an image after its data.

use crate::copy::output::Output;
use crate::copy::packer::Tables;
use crate::format::error::Result;
use crate::format::header::Header;

/// Length of the part of a table that is encoded at once, in bytes.
const PIECE: usize = 64 << 10;

/// Writes the tables that follow the data, then the header. Returns the header.
pub(crate) fn write_tables(tables: Tables, output: &impl Output) -> Result<Header> {
    let Tables {
        header,
        last,
        l1,
        refcounts,
        refcount_blocks_offset,
    } = tables;
    if let Some(table) = last {
        output.write_at(&table.bytes, table.offset)?;
    }
    for (index, entries) in l1.chunks(PIECE / 8).enumerate() {
        if entries.iter().any(|&entry| entry != 0) {
            let bytes: Vec<u8> = entries.iter().flat_map(|e| e.to_be_bytes()).collect();
            output.write_at(&bytes, header.l1_offset + (index * PIECE) as u64)?;
        }
    }
    let mut done = 0;
    while done < refcounts.counts_length() {
        let length = (refcounts.counts_length() - done).min(PIECE as u64) as usize;
        let counts = refcounts.counts(done, length);
        output.write_at(&counts, refcount_blocks_offset + done)?;
        done += length as u64;
    }
    let table = refcounts.table(refcount_blocks_offset);
    output.write_at(&table, header.refcount_table_offset)?;
    output.set_length(refcounts.clusters * header.cluster_size())?;
    output.write_at(&header.encode(), 0)?;
    Ok(header)
}
