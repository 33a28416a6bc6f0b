//! What must hold for the reader of guest data, whatever the tables of the images say.

use crate::reader::check;
use crate::recipe::{chain, Recipe};

/// A recipe of a chain; what is left of it says where else to look.
pub fn mapping(bytes: &[u8]) {
    let mut recipe = Recipe(bytes);
    let (images, mut starts) = chain(&mut recipe, u64::MAX);
    starts.push(recipe.number::<3>() << 7);
    if !images.is_empty() {
        check(&images, &starts);
    }
}
