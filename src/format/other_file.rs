//! Files that are not disks (compressed, archives): what they are, and how to get the disk.

use std::fmt;

use byteorder::{ByteOrder, LittleEndian as LE};

/// A file that is no disk image, although its image may be in it.
/// [`Display`](fmt::Display) says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherFile {
    what: &'static str,
    /// How to get the disk.
    pub unpack: Unpack,
}

/// How to get the disk that is in a file. In a command, FILE is the file, and IMAGE is the image
/// in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpack {
    /// This command prints the image.
    Print(&'static str),
    /// This command writes the image to `DISK.raw`.
    Write(&'static str),
    /// There is no command. This says what to do.
    Other(&'static str),
}

use Unpack::{Other, Print, Write};

impl fmt::Display for OtherFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is {}", self.what)
    }
}

/// Returns what a file is that begins with `start`, its first 512 bytes, unless it can be a
/// disk. The comments name what specifies each.
pub(crate) fn other_file(start: &[u8]) -> Option<OtherFile> {
    let (what, unpack) = match start {
        // A partitioned disk: the start of what was on it before can remain in the boot code.
        [.., 0x55, 0xaa] if start.len() == 512 => return None,
        // RFC 1952
        [0x1f, 0x8b, 8, 0..=0x1f, ..] => ("compressed by gzip", Print("gzip -dc FILE")),
        // The header, and the start of a block or the end of an empty stream (bzip2's manual
        // has the numbers: the digits of pi, and of its square root).
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => {
            ("compressed by bzip2", Print("bzip2 -dc FILE"))
        }
        // The .xz file format, section 2.1.1.1
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("compressed by xz", Print("xz -dc FILE")),
        _ if is_lzma(start) => ("compressed by lzma", Print("xz -dc FILE")),
        // RFC 8878: a frame, or a skippable frame, as pzstd writes them
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            ("compressed by zstd", Print("zstd -dc FILE"))
        }
        // LZ4's frame format: a frame, or a legacy frame
        [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => {
            ("compressed by lz4", Print("lz4 -dc FILE"))
        }
        // lzip's manual, "File format"
        [b'L', b'Z', b'I', b'P', 0 | 1, ..] => ("compressed by lzip", Print("lzip -dc FILE")),
        // lzop's sources
        [0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a, ..] => {
            ("compressed by lzop", Print("lzop -dc FILE"))
        }
        // ncompress: the number of bits of a code, 9 to 16, perhaps with the flag of block mode
        [0x1f, 0x9d, 0x09..=0x10 | 0x89..=0x90, ..] => {
            ("compressed by compress", Print("gzip -dc FILE"))
        }
        // PKWARE's APPNOTE 4.3: a file, an empty archive, a split archive
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => {
            ("a zip archive", Print("unzip -p FILE IMAGE"))
        }
        // 7zFormat.txt of the LZMA SDK
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => ("a 7z archive", Print("7z x -so FILE IMAGE")),
        // RAR's technote.txt: up to version 4, and version 5
        [b'R', b'a', b'r', b'!', 0x1a, 7, 0, ..] | [b'R', b'a', b'r', b'!', 0x1a, 7, 1, 0, ..] => {
            ("a rar archive", Print("unrar p -inul FILE IMAGE"))
        }
        // An OVA is one, too.
        _ if is_tar(start) => ("a tar archive", Print("tar -xOf FILE IMAGE")),
        // cpio(5) of libarchive: odc, newc, and newc with checksums
        [b'0', b'7', b'0', b'7', b'0', b'7' | b'1' | b'2', ..] => {
            ("a cpio archive", Print("cpio -i --to-stdout IMAGE < FILE"))
        }
        // libsparse/sparse_format.h of Android, version 1
        [0x3a, 0xff, 0x26, 0xed, 1, 0, ..] => {
            ("an Android sparse image", Write("simg2img FILE DISK.raw"))
        }
        // libewf's specifications of EWF and EWF2. ewfexport can print the disk, but prints a
        // message behind it.
        [b'E', b'V', b'F', 0x09, 0x0d, 0x0a, 0xff, 0, ..]
        | [b'E', b'V', b'F', b'2', 0x0d, 0x0a, 0x81, 0, ..] => {
            ("an EWF image", Write("ewfexport -u -t DISK FILE"))
        }
        // Microsoft's WIM format, and the pipable one of wimlib
        [b'M', b'S', b'W', b'I', b'M', 0, 0, 0, ..]
        | [b'W', b'L', b'P', b'W', b'M', 0, 0, 0, ..] => (
            "a WIM archive",
            Other("apply it to a disk: it has only files"),
        ),
        _ => text_file(start)?,
    };
    Some(OtherFile { what, unpack })
}

/// Returns what a file of text is that is there in place of an image.
fn text_file(start: &[u8]) -> Option<(&'static str, Unpack)> {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let text = text.trim_ascii_start().to_ascii_lowercase();
    let page = Other("download the image itself");
    if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        Some(("an HTML page", page))
    } else if text.starts_with(b"<?xml") {
        // The message of a server, or the description of a machine.
        Some(("an XML document", page))
    } else if start.starts_with(b"version https://git-lfs.github.com/spec/") {
        Some(("a Git LFS pointer", Other("git lfs pull fetches the image")))
    } else if start.starts_with(b"/annex/objects/") {
        Some((
            "a git-annex pointer",
            Other("git annex get fetches the image"),
        ))
    } else {
        None
    }
}

/// Returns whether `start` is the header of a .lzma file, which has no magic number. xz knows
/// one in the same way (`alone_decoder.c`): common properties, a dictionary of 2^n or
/// 2^n + 2^(n-1) bytes, a size that is unknown or below 256 GiB, and the first byte of the data.
fn is_lzma(start: &[u8]) -> bool {
    let Some(header) = start.get(..14) else {
        return false;
    };
    let (dictionary, size) = (LE::read_u32(&header[1..]), LE::read_u64(&header[5..]));
    let is_round = matches!(dictionary >> dictionary.trailing_zeros().min(31), 1 | 3);
    let is_size = size == u64::MAX || size < 256 << 30;
    header[0] == 0x5d && dictionary >= 4096 && is_round && is_size && header[13] == 0
}

/// Returns whether `start` is the header of a member, of POSIX tar or GNU tar, with a correct
/// checksum: the sum of all bytes, where its own field counts as spaces.
fn is_tar(start: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    if start.len() < 512 || !start[257..].starts_with(b"ustar") {
        return false;
    }
    let digits = start[CHECKSUM].iter().filter(|byte| byte.is_ascii_digit());
    let expected = digits.fold(0, |sum, digit| 8 * sum + u32::from(digit - b'0'));
    let all: u32 = start.iter().map(|&byte| u32::from(byte)).sum();
    let own: u32 = start[CHECKSUM].iter().map(|&byte| u32::from(byte)).sum();
    all - own + 8 * u32::from(b' ') == expected
}
