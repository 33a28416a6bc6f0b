//! Writes qcow2 overlays and qcow2 images from scratch, and reads raw images and chains of
//! qcow2 images: their headers, lists of snapshots and bitmaps, and guest data.
//!
//! An *overlay* is a qcow2 image with a backing file (its *base*): reads of what
//! was never written fall through to the base, writes stay in the overlay. A new
//! overlay holds only metadata and takes a few kilobytes, whatever the size of the disk.
//!
//! [`Options`] describe a new image. [`Layout::new`] computes where every table goes,
//! or says why there cannot be such an image. The layout can then be written to any
//! [`std::io::Write`] or, with holes in place of zeros, to a file:
//!
//! ```
//! use qcow2_overlay::{Format, Layout, Options};
//!
//! let options = Options::new(20 << 30).backing("node.img", Some(Format::Raw));
//! let mut image = Vec::new();
//! Layout::new(&options)?.write_to(&mut image)?;
//! assert_eq!(image.len(), 196_928);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`FreshDisk`] describes a new disk like an existing overlay. The disk can be written
//! anywhere, because it has the absolute path of its base. It records a [`FileState`] of each
//! file that backs it, because data that was written over one base does not match another.
//! [`BackingState`] says whether these files have changed since.
//!
//! A [`DiskReader`] reads the disk of any image, and a [`Conversion`] writes an image with
//! the content of another.
//!
//! A [`FormatError`] says what is wrong with an image or a request, an [`Error`] also what
//! happened at which file.
//!
//! The modules are in layers, and each imports only from its own layer and those below:
//! `format` is bytes and their meaning, `image` reads image files, `copy` moves guest data,
//! `make` writes new images. The command, `cli`, is above the library.
//!
//! References to files and functions, such as `block/qcow2.c`, are to QEMU 10.0.2; "the
//! specification" is QEMU's `docs/interop/qcow2.rst`.

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("qcow2-overlay runs on Linux and macOS only");

mod copy;
mod format;
mod image;
mod make;

pub use copy::output::Output;
pub use copy::sparse::copy_sparse;
pub use format::bitmaps::bitmap::Bitmap;
pub use format::compression::compression_type::CompressionType;
pub use format::error::{Error, Result};
pub use format::format_error::FormatError;
pub use format::header::extension::Extension;
pub use format::header::file_state::FileState;
pub use format::header::{Header, Version};
pub use format::image_format::Format;
pub use format::layout::Layout;
pub use format::name::backing_path;
pub use format::option_list::OptionList;
pub use format::options::Options;
pub use format::other_file::{OtherFile, Unpack};
pub use format::size::{parse_size, SECTOR};
pub use format::tables::snapshots::Snapshot;
pub use image::backing_state::{BackingState, Change};
pub use image::chain::chain;
pub use image::chain_checks::check_consistency;
pub use image::disk_reader::{Content, DiskReader, Extent};
pub use image::image_info::ImageInfo;
pub use image::storage::{OpenFile, Storage};
pub use make::conversion::{Conversion, NewImage};
pub use make::file::{check_target, create_file, write_file, Existing, UnnamedFile};
pub use make::fresh::FreshDisk;
pub use make::new_file::{flush, remove_unfinished, rename_new};
