//! The crate `proc-maps`: keeps all rows. It reads only live processes.

use crate::answer::Answer;
use proc_maps::MapRange;

/// Reads the rows of a live process.
pub fn live(pid: u32) -> Result<Vec<MapRange>, String> {
    proc_maps::get_process_maps(pid as i32).map_err(|error| error.to_string())
}

/// Sums the rows up.
pub fn sum(maps: &Vec<MapRange>) -> Answer {
    let mut answer = Answer::default();
    for map in maps {
        let name_len = map.filename().map_or(0, |name| name.as_os_str().len());
        let (start, end) = (map.start() as u64, (map.start() + map.size()) as u64);
        answer.add(start, end, map.offset as u64, map.inode as u64, name_len);
    }
    answer
}
