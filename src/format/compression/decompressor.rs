//! Decompressing clusters.

use zlib_rs::{Inflate, InflateFlush};
use zrip_decode::context::DecompressContext;

use crate::format::compression::zstd_frame::frame_length;
use crate::format::format_error::FormatError;

/// The largest window of a deflate stream. QEMU decompresses with 12 bits, but there as
/// here the output is the window, and a stream can refer to any byte of it.
const WINDOW_BITS: u8 = 15;

/// Decompresses one cluster after the other in the same memory: 60 KB, and for zstd a
/// cluster and about 200 KB more.
pub(crate) struct Decompressor {
    deflate: Inflate,
    zstd: DecompressContext,
    cluster: Vec<u8>,
}

impl Decompressor {
    pub(crate) fn new() -> Self {
        Decompressor {
            deflate: Inflate::new(false, WINDOW_BITS),
            zstd: DecompressContext::new(),
            cluster: Vec::new(),
        }
    }

    /// Decompresses `input`, the sectors that an L2 entry describes, to `output`, a cluster.
    /// Bytes after the compressed data are ignored. `compression` is that of the
    /// [`Header`](crate::format::header::Header), `guest` the cluster's guest offset.
    ///
    /// # Errors
    ///
    /// [`FormatError::CompressedCluster`] if the data is not compressed this way or is not a whole
    /// cluster. The content of `output` is then unspecified.
    pub(crate) fn decompress(
        &mut self,
        compression: u8,
        input: &[u8],
        output: &mut [u8],
        guest: u64,
    ) -> Result<(), FormatError> {
        let filled = match compression {
            0 => self.inflate(input, output),
            _ => self.decode_frames(input, output),
        };
        filled.ok_or(FormatError::CompressedCluster { guest })
    }

    /// Decompresses a raw deflate stream. As in QEMU (`block/qcow2-threads.c`,
    /// `qcow2_zlib_decompress`), it need not end where the cluster does.
    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Option<()> {
        self.deflate.reset(false);
        let finish = InflateFlush::Finish;
        self.deflate.decompress(input, output, finish).ok()?;
        (self.deflate.total_out() == output.len() as u64).then_some(())
    }

    /// Decompresses as many zstd frames as a cluster needs. The last one must end with the
    /// cluster (`block/qcow2-threads.c`, `qcow2_zstd_decompress`).
    fn decode_frames(&mut self, mut input: &[u8], output: &mut [u8]) -> Option<()> {
        self.cluster.clear();
        while self.cluster.len() < output.len() {
            let frame;
            (frame, input) = input.split_at_checked(frame_length(input)?)?;
            let left = output.len() - self.cluster.len();
            self.zstd
                .decompress_into_with_limit(frame, &mut self.cluster, left)
                .ok()?;
        }
        output.copy_from_slice(&self.cluster);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::compression::zstd_frame::FRAME;

    const CLUSTER: usize = 512;
    const DEFLATE: u8 = 0;
    const ZSTD: u8 = 1;

    /// [`cluster`] as `qemu-img convert -c` of QEMU 10.0.2 compresses it, without the padding.
    const DEFLATED: [u8; 144] = [
        0x55, 0xd0, 0x31, 0x0e, 0x03, 0x31, 0x08, 0x04, 0xc0, 0x7e, 0x5f, 0xe1, 0x27, 0x18, 0x8c,
        0xb1, 0x79, 0xce, 0x49, 0x49, 0x91, 0x32, 0x39, 0xe5, 0xff, 0x87, 0x3b, 0xb6, 0x5c, 0x69,
        0x05, 0x03, 0xbd, 0xdd, 0xdf, 0xff, 0xf5, 0x7b, 0xbf, 0xda, 0xe7, 0x6e, 0x1d, 0x52, 0xa3,
        0x40, 0x6b, 0x34, 0x8c, 0x1a, 0x03, 0x46, 0x65, 0xc7, 0xac, 0x59, 0x27, 0xbc, 0xe6, 0xe1,
        0x58, 0x34, 0x2d, 0xb0, 0x6b, 0x76, 0x43, 0xd4, 0xbc, 0x05, 0xd2, 0x69, 0x41, 0x4f, 0x1e,
        0xfb, 0x34, 0x3b, 0x44, 0x14, 0x33, 0xc8, 0x60, 0x56, 0x40, 0x18, 0x1a, 0x0e, 0x61, 0x6a,
        0x5a, 0xc5, 0x19, 0x9f, 0x1d, 0xe2, 0xea, 0xce, 0x39, 0x04, 0x1e, 0x9a, 0xbb, 0x82, 0x4f,
        0xcc, 0x8f, 0x91, 0xd9, 0xd2, 0xac, 0x64, 0x36, 0xcb, 0x0e, 0xbf, 0x75, 0x1b, 0x94, 0xcc,
        0x53, 0x03, 0x4a, 0xe6, 0xb9, 0x1c, 0x4a, 0x66, 0x4f, 0xb3, 0x92, 0xd9, 0x4f, 0x87, 0xcc,
        0xeb, 0xcc, 0x21, 0xf3, 0x3a, 0xbb, 0xc8, 0xfc, 0x00,
    ];

    /// The same with `-o compression_type=zstd`.
    const ZSTD_FRAME: [u8; 166] = [
        0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x01, 0xe5, 0x04, 0x00, 0x22, 0x88, 0x14, 0x15, 0xa0,
        0x25, 0x49, 0x07, 0xa0, 0xe5, 0x12, 0x1e, 0xe1, 0xff, 0xc5, 0xdd, 0x84, 0xec, 0xbd, 0x89,
        0xb4, 0x4d, 0x1d, 0x7a, 0x86, 0x84, 0x58, 0xaf, 0x5a, 0x37, 0x52, 0xfd, 0x5a, 0x9d, 0x0a,
        0x75, 0x12, 0xf5, 0x19, 0xea, 0xb4, 0xc1, 0xa9, 0x83, 0x5f, 0x29, 0xb7, 0x2a, 0xaf, 0x72,
        0x3b, 0x7e, 0x46, 0x4e, 0x44, 0xce, 0xf2, 0x19, 0x0e, 0x67, 0xb9, 0xc9, 0xca, 0x47, 0x64,
        0x1b, 0x76, 0xb5, 0x36, 0xd2, 0x37, 0xa6, 0x4e, 0x3e, 0x62, 0x20, 0x08, 0xc1, 0x00, 0x20,
        0x10, 0x50, 0x18, 0xc4, 0x04, 0x20, 0x20, 0x00, 0xc3, 0x91, 0x7a, 0x38, 0x78, 0x07, 0xa7,
        0x8b, 0x65, 0x70, 0xe2, 0xe2, 0x0c, 0xae, 0x43, 0x3b, 0xb4, 0x43, 0x3b, 0xb4, 0x43, 0x3b,
        0xf4, 0xed, 0x43, 0xdb, 0x3c, 0x34, 0xad, 0x43, 0xcb, 0x1c, 0x1a, 0xf6, 0x41, 0x5c, 0xc9,
        0x84, 0x95, 0xac, 0x53, 0x0e, 0x6d, 0xfa, 0x20, 0xa3, 0xc8, 0x9a, 0xc8, 0xe9, 0x1c, 0xc1,
        0x11, 0xe6, 0xc8, 0x84, 0x23, 0x80, 0x1c, 0xc1, 0x8d, 0xdc, 0x08, 0x6e, 0x10, 0x0e, 0x2e,
        0x01,
    ];

    /// Returns the content of the streams above.
    fn cluster() -> Vec<u8> {
        let lines = (0..40).map(|i| format!("{i} squared is {}\n", i * i));
        lines.collect::<String>().into_bytes()[..CLUSTER].to_vec()
    }

    /// Returns a frame that is not compressed: its length in one byte, and one raw block.
    fn stored(data: &[u8]) -> Vec<u8> {
        let length = data.len() as u8;
        let header = [0x28, 0xB5, 0x2F, 0xFD, 0x20, length];
        let block = [length << 3 | 1, length >> 5, 0];
        [&header[..], &block, data].concat()
    }

    /// Decompresses `input` to a cluster of `length` bytes.
    fn decompress_to(length: usize, compression: u8, input: &[u8]) -> Result<Vec<u8>, FormatError> {
        let mut output = vec![0; length];
        Decompressor::new().decompress(compression, input, &mut output, 0x20000)?;
        Ok(output)
    }

    fn decompress(compression: u8, input: &[u8]) -> Result<Vec<u8>, FormatError> {
        decompress_to(CLUSTER, compression, input)
    }

    #[test]
    fn reads_what_qemu_img_compressed() {
        assert_eq!(decompress(DEFLATE, &DEFLATED), Ok(cluster()));
        assert_eq!(decompress(ZSTD, &ZSTD_FRAME), Ok(cluster()));
    }

    #[test]
    fn ignores_bytes_after_the_compressed_data() {
        for padding in [0, 0x5A, 0xFF] {
            let padding = vec![padding; 300];
            let deflated = [&DEFLATED[..], &padding].concat();
            assert_eq!(decompress(DEFLATE, &deflated), Ok(cluster()));
            let frame = [&ZSTD_FRAME[..], &padding].concat();
            assert_eq!(decompress(ZSTD, &frame), Ok(cluster()));
        }
    }

    #[test]
    fn a_corrupt_cluster_does_not_affect_the_next_one() {
        let mut decompressor = Decompressor::new();
        for _ in 0..3 {
            for (compression, data) in [(DEFLATE, &DEFLATED[..]), (ZSTD, &ZSTD_FRAME)] {
                let mut output = vec![0; CLUSTER];
                for end in 0..data.len() - 1 {
                    let cut = &data[..end];
                    assert_eq!(
                        decompressor.decompress(compression, cut, &mut output, 0x20000),
                        Err(FormatError::CompressedCluster { guest: 0x20000 }),
                        "type {compression}, {end} bytes"
                    );
                }
                let done = decompressor.decompress(compression, data, &mut output, 0);
                assert_eq!((done, output), (Ok(()), cluster()));
            }
        }
    }

    #[test]
    fn a_stream_shorter_than_the_cluster_is_corrupt() {
        assert!(decompress_to(CLUSTER + 1, DEFLATE, &DEFLATED).is_err());
        assert!(decompress_to(CLUSTER + 1, ZSTD, &ZSTD_FRAME).is_err());
    }

    #[test]
    fn a_deflate_stream_but_no_zstd_frame_may_be_longer_than_the_cluster() {
        let begin = cluster()[..500].to_vec();
        assert_eq!(decompress_to(500, DEFLATE, &DEFLATED), Ok(begin));
        assert!(decompress_to(500, ZSTD, &ZSTD_FRAME).is_err());
    }

    #[test]
    fn a_cluster_may_consist_of_several_frames() {
        let (begin, end) = (&cluster()[..200], &cluster()[200..]);
        let (middle, end) = end.split_at(200);
        let skipped = [&[0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0], &b"abc"[..]].concat();
        let parts = [
            stored(begin),
            stored(&[]),
            skipped,
            stored(middle),
            stored(end),
        ];
        assert_eq!(decompress(ZSTD, &parts.concat()), Ok(cluster()));
        for missing in 0..parts.len() {
            let mut parts = parts.to_vec();
            parts.remove(missing);
            let has_content = ![1, 2].contains(&missing);
            assert_eq!(decompress(ZSTD, &parts.concat()).is_err(), has_content);
        }
    }

    #[test]
    fn frames_end_where_their_headers_say() {
        let padding = &[0xFF; 9][..];
        // With a checksum, as the program zstd writes it.
        let mut frame = ZSTD_FRAME.to_vec();
        frame[4] |= 4;
        let data = [&frame[..], &[0x58, 0x38, 0x25, 0x1C], padding].concat();
        assert_eq!(decompress(ZSTD, &data), Ok(cluster()));
        let data = [&frame[..], &[0x58, 0x38, 0x25, 0x1D], padding].concat();
        assert!(decompress(ZSTD, &data).is_err());

        // Runs of 128 bytes, in frames that store their length in 0, 1, 2, 4 and 8 bytes.
        let headers: [(&[u8], usize); 5] = [
            (&[0x00, 0], 256),
            (&[0x20, 128], 128),
            (&[0x60, 0, 0], 256),
            (&[0xA0, 0, 1, 0, 0], 256),
            (&[0xE0, 0, 1, 0, 0, 0, 0, 0, 0], 256),
        ];
        for (header, length) in headers {
            let mut data = [&FRAME.to_le_bytes(), header].concat();
            if length == 256 {
                data.extend([2, 4, 0, b'a']);
            }
            data.extend([3, 4, 0, b'a']);
            data.extend(padding);
            let run = vec![b'a'; length];
            assert_eq!(decompress_to(length, ZSTD, &data), Ok(run), "{header:02x?}");
        }
    }

    #[test]
    fn a_block_may_be_as_large_as_a_cluster() {
        let stored = vec![b'a'; 1 << 16];
        let header = [0xA0, 0, 0, 1, 0, 1, 0, 8];
        let data = [&FRAME.to_le_bytes(), &header[..], &stored, b"padding"].concat();
        assert_eq!(decompress_to(1 << 16, ZSTD, &data), Ok(stored));
    }

    #[test]
    fn a_frame_that_claims_a_huge_content_is_corrupt() {
        let mut frame = [0x28, 0xB5, 0x2F, 0xFD, 0xE0].to_vec();
        frame.extend([0xFF; 8]);
        frame.extend([1, 0, 0]);
        assert!(decompress(ZSTD, &frame).is_err());
        // A frame to be skipped. The end would overflow 32 bits.
        let skipped = [0x50, 0x2A, 0x4D, 0x18, 0xFF, 0xFF, 0xFF, 0xFF];
        assert!(decompress(ZSTD, &skipped).is_err());
    }

    #[test]
    fn a_changed_bit_does_not_make_decompressing_panic() {
        let mut decompressor = Decompressor::new();
        for (compression, data) in [(DEFLATE, &DEFLATED[..]), (ZSTD, &ZSTD_FRAME)] {
            for bit in 0..data.len() * 8 {
                let mut changed = data.to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                let mut output = vec![0; CLUSTER];
                let _ = decompressor.decompress(compression, &changed, &mut output, 0);
            }
        }
    }

    #[test]
    fn garbage_is_corrupt() {
        for byte in 0..=255 {
            assert!(decompress(ZSTD, &[byte; 512]).is_err());
        }
        assert!(decompress(DEFLATE, &[0xFF; 512]).is_err());
        assert!(decompress(DEFLATE, b"").is_err());
        assert!(decompress(ZSTD, b"").is_err());
    }

    #[test]
    fn the_message_names_the_cluster() {
        let message = decompress(DEFLATE, b"").expect_err("no data").to_string();
        assert_eq!(
            message,
            "corrupt qcow2 image: the compressed cluster at guest offset 131072 (0x20000) \
             is damaged"
        );
    }
}
