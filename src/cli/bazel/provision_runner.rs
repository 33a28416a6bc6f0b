//! `bazel run` of the tool of a derived image: the rules make a link to this program and write a
//! file that says what the tool is. Its disks stay, whatever happens.

use std::env;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{symlink, DirBuilderExt};
use std::os::unix::process::CommandExt;
use std::path::{self, Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::cli::bazel::environment::variable;
use crate::cli::bazel::job_description::JobDescription;
use crate::cli::disks::copies::give_copies;
use crate::cli::disks::fresh_disks::{give_disks, read_all};
use crate::cli::disks::names::Named;
use crate::cli::failure::usage;
use crate::cli::messages::say;
use crate::cli::process::child::cannot_run;

/// Set by the rules: the name of a file beside the executable, a JSON object with
/// - `command`: the runfiles path of the tool, and `args`, its arguments;
/// - `disks` and `copies`: as for a test;
/// - `inputs`: an object that maps the paths of files in an action to runfiles paths;
/// - `outputs`: the paths in an action of what else the tool writes.
const PROVISION: &str = "QCOW2_OVERLAY_PROVISION";

/// The directory in which the tool finds the same paths as in an action.
const EXEC_ROOT: &str = "execroot";

/// Runs the tool, if this program was started for one. Returns only if it was not.
pub fn start() -> Result<()> {
    let Some(name) = env::var_os(PROVISION) else {
        return Ok(());
    };
    let arguments: Vec<_> = env::args_os().collect();
    let directory = match &arguments[..] {
        [_, directory] if !directory.as_encoded_bytes().starts_with(b"-") => directory,
        _ => {
            return Err(usage(
                "give a directory for the disks, which is empty or does not exist: \
                 bazel run TARGET -- DIRECTORY",
            ))
        }
    };
    let here = variable("BUILD_WORKING_DIRECTORY").unwrap_or_default();
    let directory = path::absolute(here.join(directory))?;
    let description = path::absolute(&arguments[0])?.with_file_name(name);
    let about = || format!("{PROVISION} {description:?}");
    let text = fs::read_to_string(&description).with_context(about)?;
    let tool = Tool::parse(&text).with_context(about)?;
    tool.run(&directory)
}

struct Tool {
    command: Command,
    disks: Vec<Named>,
    copies: Vec<Named>,
    /// Files with their paths in an action.
    inputs: Vec<Named>,
    outputs: Vec<PathBuf>,
}

impl Tool {
    fn parse(text: &str) -> Result<Self> {
        let tool = JobDescription::parse(text)?;
        let mut command = tool.command()?;
        command.args(tool.texts("args")?).env_remove(PROVISION);
        Ok(Tool {
            command,
            disks: tool.named("disks")?,
            copies: tool.named("copies")?,
            inputs: tool.named("inputs")?,
            outputs: tool
                .texts("outputs")?
                .into_iter()
                .map(PathBuf::from)
                .collect(),
        })
    }

    fn run(mut self, directory: &Path) -> Result<()> {
        // Before there is a directory: a base can be invalid.
        let fresh = read_all(&self.disks)?;
        make_empty(directory)?;
        let place = fs::canonicalize(directory)?;
        give_disks(&mut self.command, &self.disks, fresh, &place)?;
        give_copies(&mut self.command, &self.copies, &place)?;
        let exec_root = place.join(EXEC_ROOT);
        self.make_exec_root(&exec_root)?;
        self.command.current_dir(&exec_root);
        say(&format!(
            "the disks are in {place:?}; the tool runs in {exec_root:?}, on what the build gives it"
        ));
        // Returns only if it fails.
        let error = self.command.exec();
        Err(cannot_run(self.command.get_program(), &error))
    }

    /// Links the inputs to the paths that they have in an action, and makes the directories of the
    /// outputs.
    fn make_exec_root(&self, exec_root: &Path) -> Result<()> {
        let within = |path: &Path| exec_root.join(path);
        let make_parent = |path: &Path| {
            let parent = path.parent().unwrap_or(path);
            fs::create_dir_all(parent).with_context(|| format!("cannot write {parent:?}"))
        };
        fs::create_dir_all(exec_root).with_context(|| format!("cannot write {exec_root:?}"))?;
        for Named { name, path } in &self.inputs {
            let link = within(Path::new(name));
            make_parent(&link)?;
            symlink(path, &link).with_context(|| format!("cannot write {link:?}"))?;
        }
        self.outputs
            .iter()
            .try_for_each(|path| make_parent(&within(path)))
    }
}

/// Makes a directory that no other user can enter, if there is no empty one.
fn make_empty(directory: &Path) -> Result<()> {
    if let Ok(mut entries) = fs::read_dir(directory) {
        if entries.next().is_some() {
            bail!(
                "{directory:?} is not empty: give an empty directory, or a path where nothing is"
            );
        }
        return Ok(());
    }
    let made = DirBuilder::new().mode(0o700).create(directory);
    made.with_context(|| format!("cannot make the directory {directory:?}"))
}
