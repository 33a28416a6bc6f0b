//! The modules are in layers, and import only from their own layer and those below: see src/lib.rs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of src, the lowest layer first.
const LAYERS: [&str; 5] = ["format", "image", "copy", "make", "cli"];

/// Returns the files of a folder and the folders in it. Cargo and Bazel both run tests in the
/// directory of the workspace.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Returns the modules, such as `format::header::parse`, and what each imports outside its tests.
fn modules() -> BTreeMap<String, BTreeSet<String>> {
    let mut modules = BTreeMap::new();
    for path in LAYERS
        .iter()
        .flat_map(|layer| files(&Path::new("src").join(layer)))
    {
        let text = fs::read_to_string(&path).expect("the text of a module");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
        let code: String = lines.collect();
        assert!(
            !code.contains("super::"),
            "{path:?}: write crate:: for super::"
        );
        let named = code.split("crate::").skip(1).map(str::to_owned);
        let path = path.strip_prefix("src").expect("in src").with_extension("");
        let name = path.to_string_lossy().replace('/', "::");
        modules.insert(name, named.collect::<BTreeSet<String>>());
    }
    let names: Vec<String> = modules.keys().cloned().collect();
    for named in modules.values_mut() {
        *named = named.iter().map(|path| module(path, &names)).collect();
    }
    modules
}

/// Returns the module of an import: `format::header` for `format::header::Header;...`.
fn module(path: &str, names: &[String]) -> String {
    let is_end = |c: char| !c.is_alphanumeric() && !"_:".contains(c);
    let path = path.split(is_end).next().unwrap_or_default();
    let is_of = |name: &&String| path == **name || path.starts_with(&format!("{name}::"));
    let longest = names.iter().filter(is_of).max_by_key(|name| name.len());
    longest.map_or(path, |name| name.as_str()).to_owned()
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

#[test]
fn the_name_of_a_file_is_in_the_tree_once() {
    let mut names = BTreeSet::new();
    for path in files(Path::new("src")) {
        let name = path.file_name().expect("a name").to_owned();
        assert!(name == "mod.rs" || names.insert(name), "{path:?}");
    }
}
