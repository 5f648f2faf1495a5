//! Compares changed pages of code with the file.

use crate::deadline::within;
use crate::files::{FileTruth, Files};
use crate::memory::ProcessMemory;
use crate::process::Process;
use std::time::Duration;
use vmatlas_explain::audit::{ChangedPages, Comparison};
use vmatlas_maps::{Mapping, Maps};
use vmatlas_object::{Memory as _, ReadAt as _};

/// Time limit for all pages of a process.
const LIMIT: Duration = Duration::from_secs(5);
/// Most bytes that are compared.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes that are compared at a time.
const PIECE: usize = 64 << 10;
/// Most differing bytes that a finding shows.
const SHOWN: usize = 8;

/// Compares the pages with the files of their rows, which are open or can be opened. Pages that
/// cannot be read stay as they are.
pub fn compare_pages<'t>(
    process: &Process,
    maps: &Maps,
    files: &Files,
    truth: impl Fn(usize) -> Option<&'t FileTruth>,
    mut pages: Vec<ChangedPages>,
) -> Vec<ChangedPages> {
    let Ok(memory) = ProcessMemory::open(process, maps, Some(files)) else { return pages };
    let mut jobs = Vec::new();
    let mut left = MAX_BYTES;
    for (at, changed) in pages.iter().enumerate() {
        let Some(row) = maps.get(changed.row) else { continue };
        left = match left.checked_sub(changed.range.size()) {
            Some(left) => left,
            None => break,
        };
        let offset = row.offset_of(changed.range.start);
        jobs.push((at, changed.row, offset, changed.range));
    }
    let rows: Vec<_> = jobs
        .iter()
        .filter_map(|(_, row, ..)| {
            let mapping = maps.get(*row)?;
            let name = mapping.name.to_vec();
            let plain = Mapping { name: b"", ..mapping };
            let plain: Mapping<'static> = Mapping {
                range: plain.range,
                perms: plain.perms,
                offset: plain.offset,
                device: plain.device,
                inode: plain.inode,
                name: b"",
            };
            Some((plain, name, truth(*row).cloned()))
        })
        .collect();
    let files = files.clone();
    let found = within(LIMIT, move || {
        let mut found = Vec::new();
        for ((at, _, offset, range), (row, name, truth)) in jobs.into_iter().zip(rows) {
            let row = Mapping { name: &name, ..row };
            let Some(file) = files.open(&row, truth.as_ref()) else { continue };
            let read_file = |offset, bytes: &mut [u8]| file.read_at(offset, bytes).unwrap_or(0);
            let read_memory = |address, bytes: &mut [u8]| memory.read(address, bytes);
            found.extend(
                compare(range.start, offset, range.size(), read_memory, read_file)
                    .map(|comparison| (at, comparison)),
            );
        }
        found
    });
    for (at, comparison) in found.unwrap_or_default() {
        if let Some(changed) = pages.get_mut(at) {
            changed.difference = Some(comparison);
        }
    }
    pages
}

/// Compares memory with a file; `None` if neither can be read. Behind the end of the file are zeros.
fn compare(
    address: u64,
    offset: u64,
    size: u64,
    read_memory: impl Fn(u64, &mut [u8]) -> usize,
    read_file: impl Fn(u64, &mut [u8]) -> usize,
) -> Option<Comparison> {
    let (mut memory, mut file) = (vec![0; PIECE], vec![0; PIECE]);
    let mut first: Option<(u64, Vec<u8>, Vec<u8>)> = None;
    let (mut count, mut are_breakpoints, mut done) = (0, true, 0);
    while done < size {
        let length = usize::try_from(size - done).unwrap_or(PIECE).min(PIECE);
        let read = read_memory(address + done, &mut memory[..length]);
        if read == 0 {
            break;
        }
        file[..read].fill(0);
        let mut have = 0;
        while have < read {
            match read_file(offset + done + have as u64, &mut file[have..read]) {
                0 => break,
                more => have += more,
            }
        }
        for place in 0..read {
            if memory[place] == file[place] {
                continue;
            }
            count += 1;
            are_breakpoints &= is_breakpoint(&memory[..read], place);
            if first.is_none() {
                let end = (place + SHOWN).min(read);
                let shown = (memory[place..end].to_vec(), file[place..end].to_vec());
                first = Some((address + done + place as u64, shown.0, shown.1));
            }
        }
        done += read as u64;
    }
    match first {
        Some((address, memory, file)) => {
            Some(Comparison::Differs { address, memory, file, count, are_breakpoints })
        }
        None => (done > 0).then_some(Comparison::Equal),
    }
}

/// Whether a byte belongs to a breakpoint: `int3`, or on AArch64 `brk #n`.
fn is_breakpoint(memory: &[u8], place: usize) -> bool {
    if cfg!(target_arch = "aarch64") {
        let word = memory.as_chunks::<4>().0.get(place / 4);
        return word.is_some_and(|word| u32::from_le_bytes(*word) & 0xffe0_001f == 0xd420_0000);
    }
    memory.get(place) == Some(&0xcc)
}

#[cfg(test)]
mod tests {
    use super::{Comparison, compare};

    fn of(memory: &[u8], file: &[u8]) -> Option<Comparison> {
        let read = |from: &[u8], at: u64, bytes: &mut [u8]| {
            let from = from.get(at as usize..).unwrap_or_default();
            let length = from.len().min(bytes.len());
            bytes[..length].copy_from_slice(&from[..length]);
            length
        };
        compare(
            0,
            0,
            memory.len() as u64,
            |at, to| read(memory, at, to),
            |at, to| read(file, at, to),
        )
    }

    #[test]
    fn differences_are_found() {
        assert_eq!(of(b"abc\0\0", b"abc"), Some(Comparison::Equal));
        assert_eq!(of(b"", b"abc"), None);
        let long = vec![7; 200_000];
        let mut other = long.clone();
        other[150_000] = 8;
        let Some(Comparison::Differs { address, memory, file, count, .. }) = of(&other, &long)
        else {
            panic!("they differ");
        };
        assert_eq!((address, count), (150_000, 1));
        assert_eq!((memory[0], file[0]), (8, 7));
    }
}
