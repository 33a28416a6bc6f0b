//! What to do about an error of the library, on the command line or in a BUILD file.

use std::fmt;

use qcow2_overlay::{Error, FormatError, OtherFile, Unpack};

/// What an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It backs another one.
    BackingFile,
    /// Its content is converted.
    Source,
    /// A fresh disk is to be like it.
    Overlay,
    /// It is described.
    Subject,
}

/// The start of a message, and what the image is for.
#[derive(Debug)]
pub struct About {
    text: String,
    role: Role,
}

impl About {
    pub fn new(role: Role, text: String) -> Self {
        About { text, role }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the message about an error: one line, with advice at its end.
pub fn message(error: &anyhow::Error) -> String {
    let role = error.downcast_ref().map(|about: &About| about.role);
    let role = role.unwrap_or(Role::BackingFile);
    let mut message = format!("{error:#}");
    let of_library = |error: &(dyn std::error::Error + 'static)| {
        let advice = error.downcast_ref().map(|error| advice(error, role));
        advice.or_else(|| error.downcast_ref().map(|error| about_format(error, role)))
    };
    message += &error.chain().find_map(of_library).unwrap_or_default();
    // A library's message can have several lines.
    message.replace('\n', " ")
}

/// Returns what to add to the message about `error`; nothing if that says all.
fn advice(error: &Error, role: Role) -> String {
    // Only the image itself has the role. Others back it.
    let role = match error {
        Error::InImage { .. } | Error::InBackingFile { .. } | Error::InBase(_) => Role::BackingFile,
        _ => role,
    };
    let advice = match error.innermost() {
        Error::Format(error) => return about_format(error, role),
        Error::BackingFormat(_) => ": make the image one file with qemu-img convert",
        Error::NoSize => ": copy it to a file",
        Error::OpenForWriting(_) => "; stop it first",
        Error::BackingFileChanged { .. } | Error::RecordUnreadable { .. } => match role {
            Role::Source => {
                ": if its content is still the same, as after a rebuild, --allow-changed-base \
                 reads the disk; if not, the disk cannot be restored"
            }
            _ => ": recreate it from the overlay it was cloned from",
        },
        Error::SmallerThanBackingFile { .. } => {
            ": give it a SIZE (in a BUILD file: size) of at least that"
        }
        Error::TooSmall { least, .. } => {
            return format!(": give a larger one, as -o size={least} (in a BUILD file: size)")
        }
        _ => "",
    };
    advice.to_owned()
}

fn about_format(error: &FormatError, role: Role) -> String {
    let if_raw = match role {
        Role::Source => "give -f raw (in a BUILD file: src_format = \"raw\")",
        _ => "give its overlay -F raw (in a BUILD file: backing_format = \"raw\")",
    };
    let advice = match error {
        FormatError::NotQcow2 => match role {
            Role::Overlay => {
                ": create an overlay that is backed by it, and give that (qcow2-overlay create \
                 -b; in a BUILD file: qcow2_overlay)"
            }
            _ => return format!(": if it is raw, {if_raw}"),
        },
        FormatError::NotRaw => {
            ": give its overlay -F qcow2 (in a BUILD file: backing_format = \"qcow2\"); if these \
             bytes themselves are the disk, convert it first with qcow2-overlay convert -f raw"
        }
        FormatError::ForeignFormat(format) => match (role, *format) {
            (Role::Source | Role::Subject, _) => ", neither raw nor qcow2",
            (_, "LUKS") => {
                ", and a backing file must be raw or qcow2: convert it with qemu-img convert, or \
                 give -F raw (in a BUILD file: backing_format = \"raw\") if the guest decrypts it"
            }
            (_, "DMG") => {
                ", and a backing file must be raw or qcow2: convert it with qemu-img convert, or \
                 give -F raw (in a BUILD file: backing_format = \"raw\") if it is a raw disk with \
                 this name"
            }
            _ => ", and a backing file must be raw or qcow2: convert it with qemu-img convert",
        },
        FormatError::OtherFile(found) => {
            let unpack = unpack(found);
            return match role {
                Role::Subject => format!("; {unpack}"),
                _ => format!("; {unpack}; if its bytes themselves are the disk, {if_raw}"),
            };
        }
        FormatError::Encrypted(_) => ": decrypt it with qemu-img convert",
        FormatError::ExternalData(_) => ": make one file of them with qemu-img convert",
        FormatError::BackingNameIsProtocol(_) => "; for a file put \"./\" before it",
        FormatError::BackingFileIsNoFile(_) => {
            "; if you trust the image, make it one file with qemu-img convert"
        }
        _ => "",
    };
    advice.to_owned()
}

/// Says how to get the disk that is in a file.
fn unpack(found: &OtherFile) -> String {
    let (command, convert) = match found.unpack {
        Unpack::Other(remedy) => return remedy.to_owned(),
        Unpack::Print(command) => (command, "| qcow2-overlay convert - DISK.qcow2"),
        Unpack::Write(command) => (command, "&& qcow2-overlay convert DISK.raw DISK.qcow2"),
    };
    let command = format!("{command} {convert}");
    let in_rule = command
        .replace("qcow2-overlay convert", "$(QCOW2_OVERLAY) convert -q")
        .replace("DISK.qcow2", "$@")
        .replace("DISK", "$@")
        .replace("FILE", "$<");
    let by_hand = command.replace("DISK", "disk");
    let whole = if command.contains("IMAGE") {
        "the image in it"
    } else {
        "it"
    };
    format!("unpack {whole}: {by_hand} (in a BUILD file: a genrule with {in_rule})")
}
