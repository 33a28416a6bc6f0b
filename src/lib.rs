//! Writes qcow2 overlays and blank qcow2 images from scratch, and reads qcow2
//! headers and the lists of snapshots and bitmaps.
//!
//! An *overlay* is a qcow2 image with a backing file (its *base*): reads of what
//! was never written fall through to the base, writes stay in the overlay. A fresh
//! one is metadata only, a few kilobytes whatever the size of the disk.
//!
//! [`Options`] say what to make, [`Layout::new`] computes where every table goes
//! (or says why it cannot be), and the layout is then written to any
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
//! A [`FreshDisk`] is one that can be written anywhere, like an image that is there.
//! It has a [`Record`] of what it stands on, because data that was written on top of
//! one file does not fit another.
//!
//! References to files and functions, `block/qcow2.c`, are to QEMU 10.0.2; "the
//! specification" is QEMU's `docs/interop/qcow2.rst`.

mod bitmap_table;
mod bitmaps;
mod error;
mod extension;
mod file;
mod fit;
mod format;
mod fresh;
mod header;
mod image;
mod layout;
mod lock;
mod luks;
mod name;
mod option_list;
mod options;
mod record;
mod size;
mod snapshots;
mod stamp;
mod table;

pub use bitmaps::Bitmap;
pub use error::Error;
pub use extension::Extension;
pub use file::{create_file, Existing};
pub use fit::check_fit;
pub use format::Format;
pub use fresh::FreshDisk;
pub use header::Header;
pub use image::{chain, ImageInfo};
pub use layout::Layout;
pub use name::{protocol, resolve};
pub use option_list::OptionList;
pub use options::{Options, Version};
pub use record::Record;
pub use size::{human_size, parse_size, SECTOR};
pub use snapshots::Snapshot;
pub use stamp::Stamp;
