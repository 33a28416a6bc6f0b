//! What Bazel says in the environment: where files are, what to run, where to keep disks.

pub mod environment;
pub mod job_description;
pub mod kept_disks;
pub mod kept_images;
pub mod kept_note;
pub mod manifest;
pub mod provision_runner;
pub mod runfiles;
pub mod test_runner;
