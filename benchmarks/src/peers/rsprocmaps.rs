//! The crate `rsprocmaps`: an iterator, whose rows are kept as the other peers keep theirs.

use crate::answer::Answer;
use rsprocmaps::{Map, Pathname};

/// Parses the rows of a text and sums them up.
pub fn parse(text: &[u8]) -> Result<Answer, String> {
    keep(text).map(|maps| sum(&maps))
}

/// Parses the rows and returns them.
pub fn keep(text: &[u8]) -> Result<Vec<Map>, String> {
    rsprocmaps::Maps::new(text).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Reads the rows of a live process.
pub fn live(pid: u32) -> Result<Vec<Map>, String> {
    let maps = rsprocmaps::from_pid(pid as i32).and_then(|maps| maps.collect());
    maps.map_err(|error| error.to_string())
}

/// Sums the rows up.
pub fn sum(maps: &Vec<Map>) -> Answer {
    let mut answer = Answer::default();
    for map in maps {
        let name_len = match &map.pathname {
            Pathname::Mmap => 0,
            Pathname::Heap | Pathname::Vvar | Pathname::Vdso => "[vdso]".len(),
            Pathname::Stack => "[stack]".len(),
            Pathname::Vsyscall => "[vsyscall]".len(),
            Pathname::OtherPseudo(name) | Pathname::Path(name) => name.len(),
        };
        let range = &map.address_range;
        answer.add(range.begin, range.end, map.offset, map.inode, name_len);
    }
    answer
}
