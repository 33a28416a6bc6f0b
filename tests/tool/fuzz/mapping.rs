//! What must hold for the reader of guest data, for any tables.

use crate::reader::check;
use crate::recipe::{chain, Recipe};

/// Checks the reader with the chain of a recipe; the rest of the bytes is one more place to check.
pub fn mapping(bytes: &[u8]) {
    let mut recipe = Recipe(bytes);
    let (images, mut starts) = chain(&mut recipe, u64::MAX);
    starts.push(recipe.number::<3>() << 7);
    if !images.is_empty() {
        check(&images, &starts);
    }
}
