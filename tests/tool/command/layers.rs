//! The modules are in layers, and import only from their own layer and those below: see src/lib.rs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The folders of src, the lowest layer first.
const LAYERS: [&str; 5] = ["format", "image", "copy", "make", "cli"];

/// Returns the modules, such as `format::header`, and what each imports outside its tests.
fn modules() -> BTreeMap<String, BTreeSet<String>> {
    let mut modules = BTreeMap::new();
    for layer in LAYERS {
        // Cargo and Bazel both run tests in the directory of the workspace.
        for file in fs::read_dir(format!("src/{layer}")).expect("a layer") {
            let path = file.expect("a file").path();
            let text = fs::read_to_string(&path).expect("the text of a module");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
            let code: String = lines.collect();
            assert!(
                !code.contains("super::"),
                "{path:?}: write crate:: for super::"
            );
            let named = code.split("crate::").skip(1).map(module);
            let name = path.file_stem().expect("a name").to_string_lossy();
            modules.insert(format!("{layer}::{name}"), named.collect());
        }
    }
    modules
}

/// Returns the module of an import: `format::header` for `format::header::Header`.
fn module(path: &str) -> String {
    let is_end = |c: char| !c.is_alphanumeric() && !"_:".contains(c);
    let path = path.split(is_end).next().unwrap_or_default();
    path.split("::").take(2).collect::<Vec<_>>().join("::")
}

#[test]
fn layers_import_only_from_those_below() {
    let layer = |module: &str| LAYERS.iter().position(|l| module.starts_with(l));
    let modules = modules();
    for (module, named) in &modules {
        for other in named {
            let is_below = modules.contains_key(other) && layer(other) <= layer(module);
            assert!(
                is_below,
                "{module} imports crate::{other}, which is not in its layer or below"
            );
        }
    }
}

#[test]
fn imports_have_no_cycle() {
    let mut left = modules();
    for _ in 0..left.len() {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, named| !named.is_disjoint(&names));
    }
    assert!(left.is_empty(), "in a cycle, or above one: {left:#?}");
}
