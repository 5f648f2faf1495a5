//! The initramfs of a kernel: vmatlas, the scenarios, and an init that runs the command.

use crate::root;
use std::fs;
use std::path::Path;

const INIT: &str = include_str!("init.sh");

/// Writes the archive. Its init sends the command's output to a serial port.
pub(super) fn write(
    path: &Path,
    busybox: &Path,
    program: &Path,
    command: &[String],
    port: &str,
) -> Result<(), String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let command: Vec<String> = command.iter().map(|arg| quoted(arg)).collect();
    let init = INIT.replace("@PORT@", port).replace("@COMMAND@", &command.join(" "));

    let mut archive = Archive::default();
    for dir in ["bin", "dev", "proc", "scenarios", "sys", "tmp"] {
        archive.dir(dir);
    }
    archive.file("init", init.as_bytes());
    archive.file("bin/busybox", &read(busybox)?);
    archive.file("bin/vmatlas", &read(program)?);
    for (name, text) in scenarios()? {
        archive.file(&name, &text);
    }
    fs::write(path, archive.end()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads the scenario files, by their names in the archive.
pub(super) fn scenarios() -> Result<Vec<(String, Vec<u8>)>, String> {
    let dir = root().join("testdata/scenarios");
    let io = |error| format!("{}: {error}", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "scn") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((format!("scenarios/{name}"), fs::read(&path).map_err(io)?));
        }
    }
    files.sort();
    Ok(files)
}

/// Quotes a word for the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A cpio archive in the "newc" format, see the kernel's
/// Documentation/driver-api/early-userspace/buffer-format.rst.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn dir(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, data: &[u8]) {
        self.entry(name, 0o100_755, data);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.0
    }

    fn entry(&mut self, name: &str, mode: u32, data: &[u8]) {
        let size = u32::try_from(data.len()).expect("a file of less than 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a short name");
        // inode, mode, uid, gid, links, time, size, device and special device in two parts each,
        // size of the name, checksum. No file has links, so inodes need not differ.
        let fields = [0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.0.extend(b"070701");
        self.0.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
        self.0.extend(name.bytes().chain([0]));
        self.align();
        self.0.extend(data);
        self.align();
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}
