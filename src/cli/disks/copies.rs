//! Copies of files and directories, which a command may write to.

use std::fs::{self, DirBuilder, File, Metadata};
use std::os::unix::fs::{symlink, DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use qcow2_overlay::{copy_sparse, flush};

use crate::cli::disks::names::Named;

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Links that stay within the directory that is copied remain links. Others are followed:
    /// Bazel shows the files of a directory as links to where they are.
    Follow,
    /// All remain links. A guest can have made them, and they can lead anywhere.
    Keep,
}

/// Copies a file, or a directory and what is in it, to `to`, which must not exist. The copy has
/// the permissions of the original as far as the umask allows, and its owner may write to it.
/// Sockets, pipes and devices in a directory are left out.
pub fn copy_tree(from: &Path, to: &Path, links: Links) -> Result<()> {
    let place = fs::metadata(parent(to)).with_context(|| format!("{to:?}"))?;
    let mut tree = Tree {
        root: from,
        links,
        around: vec![id(&place)],
    };
    tree.copy(from, to, Path::new(""))
}

/// Makes copies in `place`, sets the variables of a command for them, and returns their paths.
pub fn give_copies(command: &mut Command, copies: &[Named], place: &Path) -> Result<Vec<PathBuf>> {
    let give = |Named { name, path }: &Named| {
        let to = place.join(name);
        copy_tree(path, &to, Links::Follow).with_context(|| format!("copy {name}"))?;
        command.env(name, &to);
        Ok(to)
    };
    copies.iter().map(give).collect()
}

struct Tree<'a> {
    root: &'a Path,
    links: Links,
    /// The directory of the copy, and the directories that are being copied.
    around: Vec<(u64, u64)>,
}

impl Tree<'_> {
    /// Copies `from`, which is called `name` in the tree.
    fn copy(&mut self, from: &Path, to: &Path, name: &Path) -> Result<()> {
        let mut from = from.to_owned();
        let mut followed = 0;
        while from.is_symlink() && followed < 40 {
            let target = fs::read_link(&from).with_context(|| format!("{from:?}"))?;
            let next = parent(&from).join(&target);
            if self.links == Links::Keep || self.has(name, &target, &next) {
                return symlink(&target, to).with_context(|| format!("cannot write {to:?}"));
            }
            from = next;
            followed += 1;
        }
        let found = fs::metadata(&from).with_context(|| format!("{from:?}"))?;
        if found.is_file() {
            let copied = copy_file(&from, to, found.mode());
            copied.with_context(|| format!("cannot copy {from:?} to {to:?}"))
        } else if found.is_dir() {
            if self.around.contains(&id(&found)) {
                bail!("{from:?} contains itself or its copy, and cannot be copied");
            }
            self.around.push(id(&found));
            self.copy_directory(&from, to, name, found.mode())?;
            self.around.pop();
            Ok(())
        } else if name == Path::new("") {
            bail!("{from:?} is neither a regular file nor a directory")
        } else {
            Ok(())
        }
    }

    /// Returns whether `target`, of the link `name` in this tree, leads to `next` in it. A link of
    /// Bazel's leads to the same name in another tree, which can be a link too.
    fn has(&self, name: &Path, target: &Path, next: &Path) -> bool {
        let found = |path: &Path| fs::metadata(path).ok().as_ref().map(id);
        within(name, target).is_some_and(|place| found(&self.root.join(place)) == found(next))
    }

    fn copy_directory(&mut self, from: &Path, to: &Path, name: &Path, mode: u32) -> Result<()> {
        let made = DirBuilder::new().mode(mode & 0o777 | 0o700).create(to);
        made.with_context(|| format!("cannot write {to:?}"))?;
        for entry in fs::read_dir(from).with_context(|| format!("{from:?}"))? {
            let entry = entry.with_context(|| format!("{from:?}"))?.file_name();
            self.copy(&from.join(&entry), &to.join(&entry), &name.join(&entry))?;
        }
        Ok(())
    }
}

fn copy_file(from: &Path, to: &Path, mode: u32) -> std::io::Result<()> {
    let from = File::open(from)?;
    let mut new = File::options();
    new.write(true).create_new(true).mode(mode & 0o777 | 0o600);
    let to = new.open(to)?;
    copy_sparse(&from, &to)?;
    flush(&to)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Returns where in a tree `target`, of the link `name` in it, leads; nothing if it leads out.
fn within(name: &Path, target: &Path) -> Option<PathBuf> {
    let mut place = name.parent()?.to_owned();
    for part in target.components() {
        match part {
            Component::Normal(part) => place.push(part),
            Component::CurDir => {}
            Component::ParentDir if place.pop() => {}
            _ => return None,
        }
    }
    Some(place)
}
