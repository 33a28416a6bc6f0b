//! Files in memory that store only the parts that matter.
#![allow(dead_code)] // no fuzz target uses everything

use std::sync::Arc;

use qcow2_overlay::{Storage, SECTOR};

/// A file that is cheap to clone.
#[derive(Clone)]
pub struct Sparse {
    /// A later part hides the earlier ones.
    parts: Arc<Vec<Part>>,
    length: u64,
    fill: u8,
}

/// A part of a file: `bytes`, then zeros.
pub struct Part {
    pub start: u64,
    pub length: u64,
    pub bytes: Vec<u8>,
}

impl Sparse {
    /// Returns a file of `length` bytes. Outside the parts each sector has its own content if
    /// `fill` is odd, else one of three contents, one of which is zeros.
    pub fn new(parts: Vec<Part>, length: u64, fill: u8) -> Self {
        Sparse {
            parts: Arc::new(parts),
            length,
            fill,
        }
    }

    /// Returns a file with this content.
    pub fn of(bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u64;
        let parts = vec![Part {
            start: 0,
            length,
            bytes,
        }];
        Sparse::new(parts, length, 0)
    }

    /// Returns the word at `offset`, a multiple of 8, outside the parts.
    fn word(&self, offset: u64) -> u64 {
        let sector = (offset / SECTOR + u64::from(self.fill)) << 32;
        let kind = match self.fill % 2 {
            0 => (sector >> 32) % 3,
            _ => sector,
        };
        match kind {
            0 => 0,
            kind => kind.wrapping_mul(0x9e37_79b9_7f4a_7c15) + offset % SECTOR,
        }
    }
}

impl Storage for Sparse {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let end = offset + buffer.len() as u64;
        let is_covered = |part: &Part| part.start <= offset && end <= part.start + part.length;
        let first = self.parts.iter().rposition(is_covered);
        if first.is_none() {
            let mut at = offset - offset % 8;
            while at < end {
                let word = self.word(at).to_le_bytes();
                let (from, to) = (at.max(offset), (at + 8).min(end));
                buffer[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&word[(from - at) as usize..(to - at) as usize]);
                at += 8;
            }
        }
        for part in &self.parts[first.unwrap_or(0)..] {
            let (from, to) = (part.start.max(offset), (part.start + part.length).min(end));
            if from >= to {
                continue;
            }
            let target = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            let skipped = (from - part.start) as usize;
            let bytes = part.bytes.get(skipped..).unwrap_or_default();
            let count = bytes.len().min(target.len());
            target[..count].copy_from_slice(&bytes[..count]);
            target[count..].fill(0);
        }
        let there = self.length.saturating_sub(offset).min(buffer.len() as u64);
        buffer[there as usize..].fill(0);
        Ok(())
    }
}
