//! What must hold for a conversion.

use std::sync::Mutex;

use qcow2_overlay::{
    CompressionType, Conversion, DiskReader, Format, Header, NewImage, Options, Result, Version,
};

use crate::model::Image;
use crate::recipe::{chain, Recipe};
use crate::sparse::Sparse;

/// Limits of the size of a disk, in bytes. The last is read in several parts.
const SIZES: [u64; 8] = [
    4096,
    4096,
    8192,
    16 << 10,
    32 << 10,
    64 << 10,
    256 << 10,
    5 << 18,
];

/// Checks that a conversion keeps the content, and that it gives the same bytes for any disk with
/// that content and any number of threads. What cannot be read must be an error.
pub fn convert(bytes: &[u8]) {
    let mut recipe = Recipe(bytes);
    let kind = recipe.byte();
    let (options, size) = options(&mut recipe);
    let is_compressed = recipe.byte() % 2 == 1;
    let most = SIZES[usize::from(kind % 8)];
    let (source, _) = chain(&mut recipe, most);
    let other;
    let base = match kind / 8 % 4 {
        0 => &[],
        1 => source.get(1..).unwrap_or_default(),
        _ => {
            (other, _) = chain(&mut recipe, most);
            &other[..]
        }
    };
    if source.is_empty() {
        return;
    }
    let Ok(disk) = reader(&source) else { return };
    let Ok(below) = (!base.is_empty()).then(|| reader(base)).transpose() else {
        return;
    };
    let below = below.as_ref();
    let conversion = match options.clone() {
        None if below.is_some() => return,
        None => Conversion::to_raw(size),
        Some(mut options) => {
            if let Some(size) = size {
                options = options.virtual_size(size);
            }
            if below.is_some() {
                options = options.backing("base", Some(Format::Raw));
            }
            Conversion::to_qcow2(options).compressed(is_compressed)
        }
    };

    let (content, base_content) = (read_all(&disk), below.map_or(Ok(Vec::new()), read_all));
    let made = run(&conversion, 1, &disk, below);
    let size = size.unwrap_or(disk.virtual_size());
    let size = size.next_multiple_of(512);
    let is_large_enough = size
        >= below
            .map_or(0, DiskReader::virtual_size)
            .max(disk.virtual_size());
    let (Ok(mut content), Ok(_), true) = (content, base_content, is_large_enough) else {
        assert!(made.is_err());
        return;
    };
    let (image, converted) = made.expect("all can be read");
    content.resize(size as usize, 0);
    assert_eq!(converted.virtual_size, size);

    let again = match options {
        None => {
            assert!(image == content);
            None
        }
        Some(_) => {
            let header = Header::parse(&image).expect("a good header");
            assert_eq!(converted.header.as_ref(), Some(&header));
            assert_eq!(image.len() as u64 % header.cluster_size(), 0);
            Some(header)
        }
    };
    let result = (Sparse::of(image.clone()), again.as_ref());
    let backing = base.iter().map(|i| (i.storage.clone(), i.header.as_ref()));
    let again = DiskReader::new([result].into_iter().chain(backing)).expect("a good image");
    assert!(read_all(&again).expect("a good image") == content);

    let raw = DiskReader::new([(Sparse::of(content), None)]).expect("a raw image");
    for (threads, disk) in [(3, &disk), (1, &again), (1, &raw)] {
        let (same, _) = run(&conversion, threads, disk, below).expect("the same content");
        assert!(same == image, "{threads} threads");
    }
}

fn reader(images: &[Image<Sparse>]) -> Result<DiskReader<Sparse>> {
    DiskReader::new(
        images
            .iter()
            .map(|i| (i.storage.clone(), i.header.as_ref())),
    )
}

fn read_all(disk: &DiskReader<Sparse>) -> Result<Vec<u8>> {
    let mut bytes = vec![0; disk.virtual_size() as usize];
    disk.read_at(&mut bytes, 0).map(|()| bytes)
}

fn run(
    conversion: &Conversion,
    threads: usize,
    disk: &DiskReader<Sparse>,
    base: Option<&DiskReader<Sparse>>,
) -> Result<(Vec<u8>, NewImage)> {
    let output = Mutex::new(Vec::new());
    let conversion = conversion.clone().threads(threads);
    let converted = conversion.write_to(&output, disk, base)?;
    Ok((output.into_inner().expect("no panic"), converted))
}

/// Returns options of a qcow2 image that do not exclude each other, or none for a raw image, and
/// a size.
fn options(recipe: &mut Recipe) -> (Option<Options>, Option<u64>) {
    let (kind, more) = (recipe.byte(), recipe.byte());
    let mut options = Options::default().cluster_size(512 << (kind % 8));
    match kind / 8 % 4 {
        0 => options = options.version(Version::V2),
        2 => options = options.compression_type(CompressionType::Zstd),
        1 if kind % 8 >= 5 => options = options.extended_l2(true),
        _ => options = options.refcount_bits(1 << (more % 7)),
    }
    let size = (more >= 128).then(|| u64::from(more - 128) << 12 | 1);
    ((kind < 224).then_some(options), size)
}
