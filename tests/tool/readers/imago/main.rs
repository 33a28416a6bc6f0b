//! Writes the content of a qcow2 image, as imago reads it, to standard output.

use std::io::{self, Write};

use imago::file::File;
use imago::qcow2::Qcow2;
use imago::{FormatAccess, FormatDriverBuilder, PermissiveImplicitOpenGate};

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).expect("the path of an image");
    let image = Qcow2::<File>::builder_path(path).open(PermissiveImplicitOpenGate::default())?;
    let disk = FormatAccess::new(image);
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < disk.size() {
        let part = &mut buffer[..(disk.size() - offset).min(1 << 20) as usize];
        disk.read(&mut *part, offset)?;
        io::stdout().write_all(part)?;
        offset += part.len() as u64;
    }
    Ok(())
}
