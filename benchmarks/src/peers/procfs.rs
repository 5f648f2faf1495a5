//! The crate `procfs`: keeps all rows.

use crate::answer::Answer;
use procfs::FromBufRead;
use procfs::process::{MMapPath, MemoryMaps, Process};

/// Parses the rows of a text and sums them up.
pub fn parse(text: &[u8]) -> Result<Answer, String> {
    keep(text).map(|maps| sum(&maps))
}

/// Parses the rows and returns them.
pub fn keep(text: &[u8]) -> Result<MemoryMaps, String> {
    MemoryMaps::from_buf_read(text).map_err(|error| error.to_string())
}

/// Reads the rows of a live process.
pub fn live(pid: u32) -> Result<MemoryMaps, String> {
    let maps = Process::new(pid as i32).and_then(|process| process.maps());
    maps.map_err(|error| error.to_string())
}

/// Sums the rows up.
pub fn sum(maps: &MemoryMaps) -> Answer {
    let mut answer = Answer::default();
    for map in maps {
        // It keeps kinds instead of names, so the length of the name follows from the kind.
        let name_len = match &map.pathname {
            MMapPath::Path(path) => path.as_os_str().len(),
            MMapPath::Heap | MMapPath::Vvar | MMapPath::Vdso => "[vdso]".len(),
            MMapPath::Stack => "[stack]".len(),
            MMapPath::Vsyscall => "[vsyscall]".len(),
            MMapPath::Vsys(_) => "/SYSV00000000 (deleted)".len(),
            MMapPath::Other(name) => name.len() + 2,
            MMapPath::TStack(tid) => format!("[stack:{tid}]").len(),
            MMapPath::Anonymous | MMapPath::Rollup => 0,
        };
        answer.add(map.address.0, map.address.1, map.offset, map.inode, name_len);
    }
    answer
}
