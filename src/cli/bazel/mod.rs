//! What Bazel says in the environment: where files are, what to run, where to keep disks.

pub mod environment;
pub mod kept_disks;
pub mod manifest;
pub mod provision_runner;
pub mod runfiles;
pub mod test_runner;
