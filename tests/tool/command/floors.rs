//! The modules in the folders of src import only what is below them; src/lib.rs says more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The folders, the lowest first.
const FLOORS: [&str; 5] = ["format", "image", "copy", "make", "cli"];

/// The modules, such as `format::header`, and what each but for its tests has behind `crate::`.
fn modules() -> BTreeMap<String, BTreeSet<String>> {
    let mut modules = BTreeMap::new();
    for floor in FLOORS {
        // Cargo and Bazel both run a test in the workspace's directory.
        for file in fs::read_dir(format!("src/{floor}")).expect("a floor") {
            let path = file.expect("a file").path();
            let text = fs::read_to_string(&path).expect("the text of a module");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
            let code: String = lines.collect();
            assert!(!code.contains("super::"), "{path:?}: write crate::");
            let named = code.split("crate::").skip(1).map(module);
            let name = path.file_stem().expect("a name").to_string_lossy();
            modules.insert(format!("{floor}::{name}"), named.collect());
        }
    }
    modules
}

/// `format::header` of `format::header::Header`.
fn module(path: &str) -> String {
    let is_end = |c: char| !c.is_alphanumeric() && !"_:".contains(c);
    let path = path.split(is_end).next().unwrap_or_default();
    path.split("::").take(2).collect::<Vec<_>>().join("::")
}

#[test]
fn floors_only_look_down() {
    let floor = |module: &str| FLOORS.iter().position(|f| module.starts_with(f));
    let modules = modules();
    for (module, named) in &modules {
        for other in named {
            let is_below = modules.contains_key(other) && floor(other) <= floor(module);
            assert!(is_below, "{module}: crate::{other} is not a module below");
        }
    }
}

#[test]
fn there_is_no_circle() {
    let mut left = modules();
    for _ in 0..left.len() {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, named| !named.is_disjoint(&names));
    }
    assert!(left.is_empty(), "in a circle, or above one: {left:#?}");
}
