//! Conversion: writing a new image with the content of a disk.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread;

use crate::copy::allocator::{Allocator, Subclusters};
use crate::copy::difference::{in_base, PartsToCopy};
use crate::copy::output::{Output, OutputFile};
use crate::copy::packer::Packer;
use crate::copy::pipeline::Pipeline;
use crate::copy::source::Source;
use crate::copy::stream::Stream;
use crate::copy::tables::write_tables;
use crate::format::compression::compression_type::CompressionType;
use crate::format::error::{Error, Result};
use crate::format::header::new_header::max_virtual_size;
use crate::format::header::Header;
use crate::format::image_format::Format;
use crate::format::options::Options;
use crate::format::size::SECTOR;
use crate::image::chain_checks::{
    check_chain, check_consistency, check_not_written, check_records,
};
use crate::image::disk_reader::DiskReader;
use crate::image::image_info::ImageInfo;
use crate::image::storage::{OpenFile, Storage};
use crate::make::file::{write_unnamed, Existing, UnnamedFile};

/// More threads are no faster: they wait for the disk and for the kernel.
const MAX_THREADS: usize = 4;
/// The unit in which a raw image is written.
const RAW_UNIT: u64 = 64 << 10;

/// Writes an image with the content of a disk: a builder.
///
/// The same content, options and size give the same bytes, whatever the format, layout and holes
/// of the source, and whatever the number of threads.
///
/// ```no_run
/// use qcow2_overlay::{chain, Conversion, Options};
/// let source = chain("node.img".as_ref(), None)?;
/// Conversion::to_qcow2(Options::default()).write_file(&source, "node.qcow2".as_ref())?;
/// # Ok::<(), qcow2_overlay::Error>(())
/// ```
#[derive(Clone)]
pub struct Conversion<'a> {
    /// Options of a qcow2 image, except for its size; `None` for a raw image.
    options: Option<Options>,
    is_compressed: bool,
    size: Option<u64>,
    base: &'a [ImageInfo],
    existing: Existing,
    allow_changed_base: bool,
    threads: usize,
    progress: &'a (dyn Fn(u64) + Sync),
}

/// The image that a conversion has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// The header of a qcow2 image.
    pub header: Option<Header>,
}

impl<'a> Conversion<'a> {
    /// Returns a conversion to a qcow2 image with `options`. If these have no size, the disk is
    /// as large as the source. If they name a backing file, give its chain as
    /// [`base`](Self::base), too.
    pub fn to_qcow2(options: Options) -> Self {
        Conversion {
            size: options.virtual_size,
            options: Some(options),
            ..Self::to_raw(None)
        }
    }

    /// Returns a conversion to a raw image of `size` bytes, rounded up to 512; by default as
    /// large as the source.
    pub fn to_raw(size: Option<u64>) -> Self {
        let threads = thread::available_parallelism();
        Conversion {
            options: None,
            is_compressed: false,
            size,
            base: &[],
            existing: Existing::Keep,
            allow_changed_base: false,
            threads: threads.map_or(1, |count| count.get().min(MAX_THREADS)),
            progress: &|_| (),
        }
    }

    /// Sets whether to compress the clusters of a qcow2 image that get smaller by it, in the way
    /// that its options say; default off. The bytes of the image then also depend on the version
    /// of this crate.
    pub fn compressed(self, is_compressed: bool) -> Self {
        Conversion {
            is_compressed,
            ..self
        }
    }

    /// Sets the chain of the backing file, the topmost image first. Only what differs from it is
    /// written.
    pub fn base(self, base: &'a [ImageInfo]) -> Self {
        Conversion { base, ..self }
    }

    /// Sets what to do with an existing file; default [`Existing::Keep`].
    pub fn existing(self, existing: Existing) -> Self {
        Conversion { existing, ..self }
    }

    /// Sets whether to read a source whose backing files have changed since it recorded them
    /// (see [`BackingState`](crate::BackingState)). The caller knows that they have the same
    /// content. Default off.
    pub fn allow_changed_base(self, allow_changed_base: bool) -> Self {
        Conversion {
            allow_changed_base,
            ..self
        }
    }

    /// Sets the number of threads that read and write; default that of the processors, at most 4.
    pub fn threads(self, threads: usize) -> Self {
        Conversion { threads, ..self }
    }

    /// Calls `progress` with the number of bytes of the disk that are done, the last time just
    /// before the image gets its name.
    pub fn progress(self, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        Conversion { progress, ..self }
    }

    /// Writes the content of `source`, the images of a chain, the topmost first, to `path`, as
    /// [`write_file`](crate::write_file) does.
    ///
    /// # Errors
    ///
    /// Those of [`write_to`](Self::write_to) and of the file system. Also fails if a running
    /// QEMU may write to an image, if an image does not match its backing file, if a backing
    /// file has changed since a disk above it recorded it, and if an image changes while it is
    /// read. No file is left behind.
    pub fn write_file(&self, source: &[ImageInfo], path: &Path) -> Result<NewImage> {
        self.named(self.write_unnamed(source, path)?)
    }

    /// Does what [`write_file`](Self::write_file) does, except that the file does not get its name
    /// yet: several images can be complete before the first has one.
    ///
    /// # Errors
    ///
    /// Those of [`write_file`](Self::write_file).
    pub fn write_unnamed(
        &self,
        source: &[ImageInfo],
        path: &Path,
    ) -> Result<(NewImage, UnnamedFile)> {
        self.write(path, |base, output| {
            self.check_source(source)?;
            let reader = DiskReader::of(source)?;
            let depth = layers_above(source, self.base);
            let new_image = self.copy_disk(&reader, depth, base, output)?;
            check_unchanged(source, &reader)?;
            Ok(new_image)
        })
    }

    /// Writes the content of `source`, the bytes of a disk from the first to the last, to `path`.
    ///
    /// # Errors
    ///
    /// Those of [`write_file`](Self::write_file) and of `source`.
    pub fn write_stream(&self, source: &mut (dyn Read + Send), path: &Path) -> Result<NewImage> {
        self.named(self.write(path, |base, output| {
            let size = self.rounded_size();
            let least = base.map_or(0, DiskReader::virtual_size);
            let limit = size.unwrap_or_else(|| self.max_size());
            let stream = Stream::new(source, limit, least);
            self.copy(Source::Stream(stream), size, base, output)
        })?)
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
    ) -> Result<NewImage> {
        self.copy_disk(source, source.depth(), base, output)
    }

    /// Opens the base, and creates the file that `copy` writes.
    fn write(
        &self,
        path: &Path,
        copy: impl FnOnce(Option<&DiskReader<OpenFile>>, &OutputFile) -> Result<NewImage>,
    ) -> Result<(NewImage, UnnamedFile)> {
        check_chain(self.base).map_err(in_base)?;
        let base = match self.base {
            [] => None,
            images => Some(DiskReader::of(images).map_err(in_base)?),
        };
        let write = |file: &File| {
            let new_image = copy(base.as_ref(), &OutputFile::new(file))?;
            if let Some(reader) = &base {
                check_unchanged(self.base, reader)?;
            }
            Ok(new_image)
        };
        write_unnamed(path, self.existing, write)
    }

    /// Gives a complete image its name.
    fn named(&self, (new_image, file): (NewImage, UnnamedFile)) -> Result<NewImage> {
        (self.progress)(new_image.virtual_size);
        file.name()?;
        Ok(new_image)
    }

    /// Copies the content of a disk, except for what the images below the `depth` topmost hold.
    fn copy_disk<S: Storage>(
        &self,
        disk: &DiskReader<S>,
        depth: usize,
        base: Option<&DiskReader<S>>,
        output: &impl Output,
    ) -> Result<NewImage> {
        let least = base.map_or(0, DiskReader::virtual_size);
        self.check_size(disk.virtual_size(), least)?;
        let size = self.rounded_size().unwrap_or(disk.virtual_size());
        let parts = PartsToCopy::new(disk, depth, base, size);
        self.copy(Source::Disk(parts), Some(size), base, output)
    }

    /// Copies the content of `source`. The size of the disk need not be known before the end.
    fn copy<S: Storage>(
        &self,
        source: Source<S>,
        size: Option<u64>,
        base: Option<&DiskReader<S>>,
        output: &impl Output,
    ) -> Result<NewImage> {
        let (allocator, subclusters) = match &self.options {
            None => {
                let size = RAW_UNIT as usize;
                (Allocator::Raw, Subclusters { size, count: 1 })
            }
            Some(options) => {
                let options = options.clone().virtual_size(size.unwrap_or(0));
                let packer = Packer::new(&options, self.is_compressed)?;
                let subclusters = Subclusters {
                    size: packer.mapping().subcluster_size() as usize,
                    count: packer.mapping().subclusters(),
                };
                (Allocator::Packed(Box::new(packer)), subclusters)
            }
        };
        let pipeline = Pipeline {
            base,
            output,
            subclusters,
            compression_type: self.compression_type(),
            threads: self.threads.max(1),
            progress: self.progress,
        };
        let (allocator, length) = pipeline.run(source, allocator)?;
        self.check_size(length, base.map_or(0, DiskReader::virtual_size))?;
        let size = size.unwrap_or(length.next_multiple_of(SECTOR));
        let header = match allocator {
            Allocator::Packed(packer) => Some(write_tables(packer.finish(size)?, output)?),
            Allocator::Raw => {
                output.set_length(size)?;
                None
            }
        };
        Ok(NewImage {
            virtual_size: size,
            header,
        })
    }

    /// Returns how to compress clusters, if at all.
    fn compression_type(&self) -> Option<CompressionType> {
        let options = self.options.as_ref().filter(|_| self.is_compressed);
        options.map(|options| options.compression_type)
    }

    /// Returns the size that was asked for, as a disk can have it.
    fn rounded_size(&self) -> Option<u64> {
        self.size.map(|size| size.next_multiple_of(SECTOR))
    }

    /// Checks the source as [`check_chain`] does, except that a raw disk can have any content.
    fn check_source(&self, images: &[ImageInfo]) -> Result<()> {
        images.iter().try_for_each(check_not_written)?;
        if matches!(images, [image] if image.format == Format::Raw) {
            return Ok(());
        }
        if !self.allow_changed_base {
            check_records(images)?;
        }
        check_consistency(images)
    }

    /// Returns the largest size that the new disk can have, in bytes.
    fn max_size(&self) -> u64 {
        match &self.options {
            Some(options) => max_virtual_size(options.cluster_size, options.extended_l2),
            None => i64::MAX as u64,
        }
    }

    fn check_size(&self, source: u64, base: u64) -> Result<()> {
        let (size, what) = match self.size {
            Some(size) => (size, "the size asked for"),
            None => (source, "the size of the source"),
        };
        let size = size.next_multiple_of(SECTOR);
        for (than, least) in [("the source", source), ("the backing file", base)] {
            if size < least {
                return Err(Error::TooSmall {
                    what,
                    size,
                    than,
                    least,
                });
            }
        }
        Ok(())
    }
}

/// Returns how many of `images` are above those of `base`: all if `base` does not back them.
fn layers_above(images: &[ImageInfo], base: &[ImageInfo]) -> usize {
    let Some(depth) = images.len().checked_sub(base.len()) else {
        return images.len();
    };
    let mut pairs = images[depth..].iter().zip(base);
    if pairs.all(|(one, other)| one.is_same_file(other) && one.format == other.format) {
        depth
    } else {
        images.len()
    }
}

fn check_unchanged(images: &[ImageInfo], reader: &DiskReader<OpenFile>) -> Result<()> {
    for (index, image) in images.iter().enumerate() {
        if !image.is_unchanged(&reader.storage(index).file)? {
            return Err(Error::Changed(image.path.clone()));
        }
    }
    Ok(())
}
