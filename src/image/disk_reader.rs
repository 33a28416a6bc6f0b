//! Reading guest data from an image and its backing chain.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::format::compression::decompressor::Decompressor;
use crate::format::error::{Error, Result};
use crate::format::header::Header;
use crate::format::image_format::Format;
use crate::format::tables::mapping::{Compressed, Place};
use crate::image::chain::chain;
use crate::image::image_info::ImageInfo;
use crate::image::layer::{Layer, Part};
use crate::image::probe::open;
use crate::image::storage::{OpenFile, Storage};

/// Reads the disk of an image, and never writes to it. Threads can share a reader.
///
/// ```no_run
/// use qcow2_overlay::{Content, DiskReader};
/// let disk = DiskReader::open("node.qcow2".as_ref(), None)?;
/// let mut offset = 0;
/// while offset < disk.virtual_size() {
///     let extent = disk.extent(offset, disk.depth())?;
///     if let Content::Data { .. } = extent.content {
///         let mut sector = [0; 512];
///         disk.read_at(&mut sector, offset)?;
///     }
///     offset += extent.length;
/// }
/// # Ok::<(), qcow2_overlay::Error>(())
/// ```
pub struct DiskReader<S = OpenFile> {
    /// The images of the chain, the topmost first.
    layers: Vec<Layer<S>>,
    /// The paths of the images, for messages; empty if they are unknown.
    paths: Vec<PathBuf>,
    decompressors: Mutex<Vec<Decompressor>>,
}

/// A part of a disk with content of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The kind of content.
    pub content: Content,
    /// Length in bytes, at least 1. The next extent may be of the same kind.
    pub length: u64,
}

/// The content of a part of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// None of the images that were searched has it.
    Unallocated,
    /// Zeros that take no space.
    Zero,
    /// Data, which may be zeros too.
    Data {
        /// The image that has it; 0 is the topmost.
        image: usize,
        /// Its offset in the file in bytes, unless it is compressed.
        offset: Option<u64>,
    },
}

impl DiskReader {
    /// Opens the image at `path` and its backing chain. Without `format`, the format of the
    /// image is detected.
    ///
    /// # Errors
    ///
    /// Those of [`chain`]; [`FormatError::Encrypted`](crate::FormatError::Encrypted) or
    /// [`FormatError::ExternalData`](crate::FormatError::ExternalData) for an image whose data cannot be
    /// read here. The message names the image.
    pub fn open(path: &Path, format: Option<Format>) -> Result<Self> {
        Self::of(&chain(path, format)?)
    }

    /// Opens the images of a chain, the topmost first.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open). Also fails if an image has been replaced by another file.
    pub fn of(images: &[ImageInfo]) -> Result<Self> {
        let mut layers = Vec::new();
        for image in images {
            let file = open(&image.path)?;
            if !image.is_file(&file.metadata()?) {
                return Err(Error::Replaced(image.path.clone()));
            }
            let length = image.file_length;
            layers.push((OpenFile { file, length }, image.header.as_ref()));
        }
        let paths = images.iter().map(|image| image.path.clone());
        Self::of_layers(layers, paths.collect())
    }
}

impl<S: Storage> DiskReader<S> {
    /// Opens `images`, the topmost first. An image that is given with its header is a qcow2
    /// image; the others are raw.
    ///
    /// # Errors
    ///
    /// Those of [`DiskReader::open`].
    pub fn new<'a>(images: impl IntoIterator<Item = (S, Option<&'a Header>)>) -> Result<Self> {
        Self::of_layers(images, Vec::new())
    }

    fn of_layers<'a>(
        images: impl IntoIterator<Item = (S, Option<&'a Header>)>,
        paths: Vec<PathBuf>,
    ) -> Result<Self> {
        let mut reader = DiskReader {
            layers: Vec::new(),
            paths,
            decompressors: Mutex::default(),
        };
        for (index, (storage, header)) in images.into_iter().enumerate() {
            let layer = Layer::new(storage, header);
            reader
                .layers
                .push(layer.map_err(|e| reader.in_image(index, e))?);
        }
        if reader.layers.is_empty() {
            Err(Error::EmptyChain)
        } else {
            Ok(reader)
        }
    }

    /// Returns the size of the disk in bytes, a multiple of 512.
    pub fn virtual_size(&self) -> u64 {
        self.layers[0].virtual_size
    }

    /// Returns the number of images in the chain.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Returns the largest cluster size of the images in bytes, or 0 if all are raw. Aligned
    /// reads of this size decompress each cluster only once, unless an image above it holds parts
    /// of it.
    pub fn largest_cluster(&self) -> u64 {
        let sizes = self.layers.iter().filter_map(Layer::cluster_size);
        sizes.max().unwrap_or(0)
    }

    pub(crate) fn storage(&self, image: usize) -> &S {
        &self.layers[image].storage
    }

    /// Returns the extent of the disk that starts at `offset`, as the `depth` topmost images
    /// define it. It reads tables, but no data. An image that is smaller than the one above
    /// it reads as zeros beyond its end.
    ///
    /// # Errors
    ///
    /// Fails if `offset` is beyond the end of the disk, and with errors of the file system.
    /// [`FormatError::Corrupt`](crate::FormatError::Corrupt) if a table entry is invalid,
    /// [`FormatError::Truncated`](crate::FormatError::Truncated) if a table or a cluster is beyond the
    /// end of the file, where QEMU reads zeros.
    pub fn extent(&self, offset: u64, depth: usize) -> Result<Extent> {
        let (place, image, length) = self.part(offset, depth, Layer::part)?;
        let data = |offset| Content::Data { image, offset };
        let content = match place {
            Place::Unallocated => Content::Unallocated,
            Place::Zero => Content::Zero,
            Place::At(offset) => data(Some(offset)),
            Place::Compressed(_) => data(None),
        };
        Ok(Extent { content, length })
    }

    /// Fills `buffer` with the content of the disk at `offset`.
    ///
    /// # Errors
    ///
    /// Those of [`extent`](Self::extent) for any part of the range, and
    /// [`FormatError::CompressedCluster`](crate::FormatError::CompressedCluster).
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset.saturating_add(done as u64);
            let (place, image, length) = self.part(at, self.depth(), Layer::part_to_read)?;
            let length = length.min((buffer.len() - done) as u64) as usize;
            let part = &mut buffer[done..done + length];
            match place {
                Place::Unallocated | Place::Zero => part.fill(0),
                Place::At(start) => self.layers[image]
                    .storage
                    .read_at(part, start)
                    .map_err(|e| self.in_image(image, e))?,
                Place::Compressed(compressed) => self
                    .read_compressed(image, compressed, at, part)
                    .map_err(|e| self.in_image(image, e))?,
            }
            done += length;
        }
        Ok(())
    }

    /// Finds the content at `offset`. Returns its place, the index of its image, and its
    /// length in bytes.
    fn part(
        &self,
        offset: u64,
        depth: usize,
        find: impl Fn(&Layer<S>, u64) -> Result<Part>,
    ) -> Result<(Place, usize, u64)> {
        let size = self.virtual_size();
        if offset >= size {
            return Err(Error::BeyondEnd { offset, size });
        }
        let mut length = size - offset;
        for (image, layer) in self.layers.iter().enumerate().take(depth) {
            if offset >= layer.virtual_size {
                return Ok((Place::Zero, image, length));
            }
            let part = find(layer, offset).map_err(|e| self.in_image(image, e))?;
            length = length.min(part.length);
            if part.place != Place::Unallocated {
                return Ok((part.place, image, length));
            }
        }
        let place = if depth < self.layers.len() {
            Place::Unallocated
        } else {
            Place::Zero
        };
        Ok((place, depth, length))
    }

    /// Fills `part` with the content of the disk at `offset`, all of it in one compressed
    /// cluster.
    fn read_compressed(
        &self,
        image: usize,
        compressed: Compressed,
        offset: u64,
        part: &mut [u8],
    ) -> Result<()> {
        let layer = &self.layers[image];
        let cluster_size = layer.cluster_size().unwrap_or_default();
        let mut bytes = vec![0; compressed.length];
        layer.storage.read_at(&mut bytes, compressed.offset)?;
        let lock = || {
            let decompressors = self.decompressors.lock();
            decompressors.unwrap_or_else(PoisonError::into_inner)
        };
        let kept = lock().pop();
        let mut decompressor = kept.unwrap_or_else(Decompressor::new);
        let in_cluster = offset % cluster_size;
        let start = offset - in_cluster;
        let mut fill =
            |output: &mut [u8]| decompressor.decompress(layer.compression(), &bytes, output, start);
        if part.len() as u64 == cluster_size {
            fill(part)?;
        } else {
            let mut cluster = vec![0; cluster_size as usize];
            fill(&mut cluster)?;
            part.copy_from_slice(&cluster[in_cluster as usize..][..part.len()]);
        }
        lock().push(decompressor);
        Ok(())
    }

    /// Adds the path of an image to its error, unless it is the topmost image.
    fn in_image(&self, image: usize, error: impl Into<Error>) -> Error {
        match self.paths.get(image) {
            Some(path) => Error::in_image(image, path, error.into()),
            None => error.into(),
        }
    }
}
