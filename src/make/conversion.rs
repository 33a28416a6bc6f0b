//! Conversion: writing a new image with the content of a disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread;

use crate::copy::difference::{in_base, Candidates, Side};
use crate::copy::output::{NewFile, Output};
use crate::copy::packer::Packer;
use crate::copy::pipeline::{Input, Pipeline, PART};
use crate::copy::places::{Grain, Places};
use crate::copy::stream::Stream;
use crate::copy::tables::write_tables;
use crate::format::header::new_header::max_virtual_size;
use crate::format::header::Header;
use crate::format::image_format::Format;
use crate::format::options::Options;
use crate::format::size::SECTOR;
use crate::image::disk_reader::DiskReader;
use crate::image::fit::check_fit;
use crate::image::image_info::ImageInfo;
use crate::image::storage::{OpenFile, Storage};
use crate::image::usable::{check_not_written, check_records, check_usable};
use crate::make::file::{write_watched_file, Existing};

/// More threads are no faster: they wait for the disk and for the kernel.
const MAX_THREADS: usize = 4;
/// The unit in which a raw image is written.
const RAW_UNIT: u64 = 64 << 10;

/// Writes an image with the content of a disk. The same content and the same options and size
/// give the same bytes, whatever the format, layout and holes of the source, and whatever the
/// number of threads.
///
/// ```no_run
/// use qcow2_overlay::{chain, Conversion, Existing, Options, Source};
/// let source = Source::Images(chain("node.img".as_ref(), None)?);
/// let conversion = Conversion::to_qcow2(Options::new(0));
/// conversion.write_file("node.qcow2".as_ref(), Existing::Keep, source, &[], &|_| ())?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Options of a qcow2 image, except for its size; `None` for a raw image. If they name a
    /// backing file, only what differs from it is written.
    pub options: Option<Options>,
    /// Size of the disk in bytes, rounded up to 512; by default that of the source.
    pub size: Option<u64>,
    /// Whether to read a source that has a [`Record`](crate::Record) which its backing files
    /// do not match. The caller knows that they have the content that they had.
    pub allow_changed_base: bool,
    /// Number of threads that read and write.
    pub threads: usize,
}

/// Where the content of a disk comes from.
pub enum Source<'a> {
    /// The images of a chain, the topmost first.
    Images(Vec<ImageInfo>),
    /// The bytes of the disk, from the first to the last.
    Stream(&'a mut (dyn Read + Send)),
}

/// The result of a conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// The header of a qcow2 image.
    pub header: Option<Header>,
}

impl Conversion {
    /// Returns a conversion to a qcow2 image with `options`, as large as the source.
    pub fn to_qcow2(options: Options) -> Self {
        Conversion {
            options: Some(options),
            ..Self::to_raw()
        }
    }

    /// Returns a conversion to a raw image, as large as the source.
    pub fn to_raw() -> Self {
        let threads = thread::available_parallelism();
        Conversion {
            options: None,
            size: None,
            allow_changed_base: false,
            threads: threads.map_or(1, |count| count.get().min(MAX_THREADS)),
        }
    }

    /// Writes the image to `path`, as [`create_file`](crate::create_file) does. `base` is the
    /// chain of the backing file, the topmost image first, or empty. `progress` is called with
    /// the number of bytes of the disk that are done, the last time just before the image gets
    /// its name.
    ///
    /// # Errors
    ///
    /// Those of [`write_to`](Self::write_to) and of the file system. Also fails if a running
    /// QEMU may write to an image, if an image does not match its backing file, if a backing
    /// file has changed since a disk above it recorded it, and if an image changes while it is
    /// read. No file is left behind.
    pub fn write_file(
        &self,
        path: &Path,
        existing: Existing,
        source: Source,
        base: &[ImageInfo],
        progress: &(dyn Fn(u64) + Sync),
    ) -> io::Result<Converted> {
        check_usable(base).map_err(in_base)?;
        let base_reader = match base {
            [] => None,
            images => Some(DiskReader::of(images).map_err(in_base)?),
        };
        let write = |file: &File| {
            let output = NewFile::new(file);
            let converted = match source {
                Source::Images(images) => {
                    self.check_source(&images)?;
                    let reader = DiskReader::of(&images)?;
                    let depth = own_depth(&images, base);
                    let input = Opened::Disk(&reader, depth);
                    let converted = self.run(input, base_reader.as_ref(), &output, progress)?;
                    check_unchanged(&images, &reader)?;
                    converted
                }
                Source::Stream(stream) => {
                    let input = Opened::Stream(stream);
                    self.run(input, base_reader.as_ref(), &output, progress)?
                }
            };
            if let Some(reader) = &base_reader {
                check_unchanged(base, reader)?;
            }
            Ok(converted)
        };
        write_watched_file(path, existing, write, |converted| {
            progress(converted.virtual_size);
        })
    }

    /// Writes the content of `source` to `output`, from any kind of storage. `base` is the
    /// disk of the backing file.
    ///
    /// # Errors
    ///
    /// Those of [`DiskReader::read_at`], of `output` and of
    /// [`Layout::new`](crate::Layout::new). Also fails if the size is less than that of the
    /// source or of the base.
    pub fn write_to<S: Storage>(
        &self,
        output: &impl Output,
        source: &DiskReader<S>,
        base: Option<&DiskReader<S>>,
    ) -> io::Result<Converted> {
        self.run(Opened::Disk(source, source.depth()), base, output, &|_| ())
    }

    fn run<S: Storage>(
        &self,
        source: Opened<S>,
        base: Option<&DiskReader<S>>,
        output: &impl Output,
        progress: &(dyn Fn(u64) + Sync),
    ) -> io::Result<Converted> {
        let least = base.map_or(0, DiskReader::virtual_size);
        if let Opened::Disk(reader, _) = source {
            self.check_size(reader.virtual_size(), least)?;
        }
        let known_size = match (&source, self.size) {
            (Opened::Disk(reader, _), None) => Some(reader.virtual_size()),
            (_, size) => size.map(|size| size.next_multiple_of(SECTOR)),
        };
        let (places, units, cluster_size) = match &self.options {
            None => (Places::Raw, 1, RAW_UNIT),
            Some(options) => {
                let options = options.clone().virtual_size(known_size.unwrap_or(0));
                let packer = Packer::new(&options)?;
                let units = packer.mapping().units();
                (Places::Packed(packer), units, options.cluster_size)
            }
        };
        let largest = |reader: &DiskReader<S>| reader.largest_cluster();
        let reader = match &source {
            Opened::Disk(reader, _) => Some(*reader),
            Opened::Stream(_) => None,
        };
        let part = PART
            .max(cluster_size)
            .max(reader.map_or(0, largest))
            .max(base.map_or(0, largest));
        let pipeline = Pipeline {
            source: reader,
            base,
            output,
            part: part as usize,
            grain: Grain {
                unit_size: cluster_size as usize / units as usize,
                units,
            },
            threads: self.threads.max(1),
            progress,
        };
        let input = match source {
            Opened::Disk(reader, depth) => Input::Disk(Candidates {
                source: Side::new(reader, depth),
                base: base.map(|base| Side::new(base, base.depth())),
                size: known_size.unwrap_or_default(),
                cluster_size,
                step: part,
                position: 0,
            }),
            Opened::Stream(reader) => Input::Stream(Stream {
                reader,
                length: 0,
                limit: known_size.unwrap_or(self.max_size()),
                padded_to: least,
                position: 0,
                is_at_end: false,
            }),
        };
        let (places, length) = pipeline.run(input, places)?;
        self.check_size(length, least)?;
        let size = known_size.unwrap_or(length.next_multiple_of(SECTOR));
        let header = match places {
            Places::Packed(packer) => Some(write_tables(packer.finish(size)?, output)?),
            Places::Raw => {
                output.set_length(size)?;
                None
            }
        };
        Ok(Converted {
            virtual_size: size,
            header,
        })
    }

    /// Checks the source as [`check_usable`] does, except that a raw disk can have any content.
    fn check_source(&self, images: &[ImageInfo]) -> io::Result<()> {
        images.iter().try_for_each(check_not_written)?;
        if matches!(images, [image] if image.format == Format::Raw) {
            return Ok(());
        }
        if !self.allow_changed_base {
            check_records(
                images,
                "if its content is still the same, as after a rebuild, --allow-changed-base \
                 reads the disk; if not, the disk cannot be restored",
            )?;
        }
        check_fit(images)
    }

    /// Returns the largest size that the new disk can have, in bytes.
    fn max_size(&self) -> u64 {
        match &self.options {
            Some(options) => max_virtual_size(options.cluster_size, options.extended_l2),
            None => i64::MAX as u64,
        }
    }

    fn check_size(&self, source: u64, base: u64) -> io::Result<()> {
        let (size, what) = match self.size {
            Some(size) => (size, "the size asked for"),
            None => (source, "the size of the source"),
        };
        let size = size.next_multiple_of(SECTOR);
        for (name, least) in [("the source", source), ("the backing file", base)] {
            if size < least {
                return Err(io::Error::other(format!(
                    "{what} is {size} bytes, less than the {least} bytes of {name}, whose end \
                     would be lost: give a larger one, as -o size={least} (in a BUILD file: size)"
                )));
            }
        }
        Ok(())
    }
}

/// An open [`Source`]. The number says how many of the images are above those of the base.
enum Opened<'a, S> {
    Disk(&'a DiskReader<S>, usize),
    Stream(&'a mut (dyn Read + Send)),
}

/// Returns how many of `images` are above those of `base`: all if `base` does not back them.
fn own_depth(images: &[ImageInfo], base: &[ImageInfo]) -> usize {
    let Some(depth) = images.len().checked_sub(base.len()) else {
        return images.len();
    };
    let mut pairs = images[depth..].iter().zip(base);
    match pairs.all(|(one, other)| one.is_same_file(other) && one.format == other.format) {
        true => depth,
        false => images.len(),
    }
}

fn check_unchanged(images: &[ImageInfo], reader: &DiskReader<OpenFile>) -> io::Result<()> {
    for (index, image) in images.iter().enumerate() {
        if !image.is_unchanged(&reader.storage(index).file)? {
            return Err(io::Error::other(format!(
                "{:?} was changed while it was read",
                image.path
            )));
        }
    }
    Ok(())
}
