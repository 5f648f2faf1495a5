//! Compares labels of real processes with the processes' own output.

mod chromium;
mod cpython;
mod go;
mod jvm;
mod malloc;
mod programs;
mod ruby;
mod threads;
mod v8;

use crate::child::{Child, wait_until};
use std::path::{Path, PathBuf};
use vmatlas_explain::label::{Confidence, Facts, Labelled, Labels};
use vmatlas_linux::files::Files;
use vmatlas_linux::{FactSources, Images, Process, ProcessId, ProcessMemory, Source, gather_facts};
use vmatlas_maps::{AddressRange, Kind, Maps};
use vmatlas_object::Budget;
use vmatlas_object::Memory;

/// A process and its labels.
pub(crate) struct Seen {
    pub(crate) maps: Maps,
    pub(crate) facts: Facts,
    pub(crate) labels: Labels,
}

impl Seen {
    pub(crate) fn of(child: &Child, deep: bool) -> Seen {
        Seen::of_pid(child.pid(), deep)
    }

    pub(crate) fn of_pid(pid: u32, deep: bool) -> Seen {
        let process = Process::open(Path::new("/proc"), ProcessId { pid, tid: None }).unwrap();
        let maps = process.rows(Source::Smaps).unwrap().maps;
        let files = Files::read(&process).unwrap();
        let truths = files.truths(&process, &maps);
        let is_code = |index| maps.get(index).is_some_and(|row| row.perms.execute());
        let mut images = Images::new(&maps, Budget::default());
        images.open(&files, &maps, &truths, is_code);
        let (facts, _) = gather_facts(FactSources {
            process: &process,
            files: Some(&files),
            maps: &maps,
            images: Some(&images),
            budget: images.budget(),
            deep,
        });
        let memory = deep.then(|| ProcessMemory::open(&process, &maps, Some(&files)).unwrap());
        let labels =
            Labels::read(&maps, &facts, memory.as_ref().map(|memory| memory as &dyn Memory));
        Seen { maps, facts, labels }
    }

    /// The label at an address.
    pub(crate) fn at(&self, address: u64) -> &Labelled {
        let found = self.labels.at(address);
        found.unwrap_or_else(|| panic!("no label at {address:x}:\n{}", self.text()))
    }

    /// The labels of a group.
    pub(crate) fn group(&self, group: &str) -> Vec<&Labelled> {
        self.labels.iter().filter(|part| part.label.group == group).collect()
    }

    /// The percentage of resident memory with a descriptive name or a label.
    pub(crate) fn explained(&self) -> u64 {
        let (mut all, mut known) = (0, 0);
        for (index, row) in self.maps.iter().enumerate() {
            let rss = u128::from(self.rss(index));
            let is_descriptive =
                !matches!(row.kind(), Kind::Anonymous | Kind::Heap | Kind::SharedAnonymous);
            let parts = self.labels.within(row.range).iter().map(|part| overlap(part, row.range));
            let share = if is_descriptive { row.range.size() } else { parts.sum() };
            all += rss * 1000;
            known += rss * 1000 * u128::from(share) / u128::from(row.range.size());
        }
        u64::try_from(known * 100 / all).unwrap()
    }

    /// The resident bytes of a row.
    pub(crate) fn rss(&self, index: usize) -> u64 {
        let rss = self.maps.fields(index).find(|field| field.name == b"Rss");
        rss.and_then(|field| field.value.number()).unwrap_or(0)
    }

    /// All rows and labels, for failing tests.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (index, row) in self.maps.iter().enumerate() {
            let rss = self.rss(index);
            let name = String::from_utf8_lossy(row.name);
            text += &format!("{} {} rss {} KiB {name}\n", row.range, row.perms, rss >> 10);
            for Labelled { range, label, .. } in self.labels.within(row.range) {
                text += &format!(
                    "    {range} {}: {} ({})\n",
                    label.confidence, label.text, label.because
                );
            }
        }
        text
    }
}

/// Waits until all threads except `running` ones block, because only then their stack pointers are
/// readable.
pub(crate) fn settle(child: &Child, running: usize) {
    let process = child.process();
    wait_until("its threads wait", || {
        let threads = process.threads().unwrap();
        let waits = |tid: &u32| {
            let call = process.read(&format!("task/{tid}/syscall")).unwrap_or_default();
            call.contains(&b'x')
        };
        threads.iter().filter(|tid| !waits(tid)).count() == running
    });
}

/// A program's output about its memory: lines of a word and addresses.
pub(crate) struct Output(pub(crate) Vec<String>);

impl Output {
    /// The lines that begin with a word, without that word.
    pub(crate) fn lines<'a>(&'a self, word: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
        let lines = self.0.iter().map(|line| line.split(' ').collect::<Vec<_>>());
        lines.filter(move |line| line[0] == word).map(|line| line[1..].to_vec())
    }

    /// The address of the only line that begins with a word.
    pub(crate) fn address(&self, word: &str) -> u64 {
        address(self.lines(word).next().unwrap_or_else(|| panic!("no {word} in {:?}", self.0))[0])
    }
}

/// Parses `0x7f00`.
pub(crate) fn address(text: &str) -> u64 {
    u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
}

fn overlap(part: &Labelled, row: AddressRange) -> u64 {
    part.range.end.min(row.end) - part.range.start.max(row.start)
}

/// Asserts the explained share of resident memory: 95 % with memory access, 85 % without.
#[track_caller]
pub(crate) fn check_share(seen: &Seen, deep: bool) {
    let least = if deep { 95 } else { 85 };
    assert!(seen.explained() >= least, "{} %:\n{}", seen.explained(), seen.text());
}

/// A file of testdata/programs.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/programs").join(name)
}

/// Addresses of some bytes in the private unnamed memory of a process, up to `most`.
pub(crate) fn search(pid: u32, maps: &Maps, wanted: &[u8], most: usize) -> Vec<u64> {
    let memory = ProcessMemory::open(&crate::child::process(pid), maps, None).unwrap();
    let mut found = Vec::new();
    let mut bytes = vec![0; 1 << 20];
    for (index, row) in maps.iter().enumerate() {
        let rss = maps.fields(index).find(|field| field.name == b"Rss");
        let is_resident = rss.and_then(|field| field.value.number()).unwrap_or(0) > 0;
        if row.kind() != Kind::Anonymous || !is_resident {
            continue;
        }
        // The bytes cross a block boundary only by chance, and occur several times.
        for start in (row.range.start..row.range.end).step_by(bytes.len()) {
            if found.len() >= most {
                return found;
            }
            let length = bytes.len().min(usize::try_from(row.range.end - start).unwrap());
            let read = memory.read(start, &mut bytes[..length]);
            let mut from = 0;
            while let Some(at) = memchr::memmem::find(&bytes[from..read], wanted) {
                found.push(start + (from + at) as u64);
                from += at + wanted.len();
            }
        }
    }
    found
}

/// Checks a label's range, group and confidence, and that its text has some words.
#[track_caller]
pub(crate) fn check(
    seen: &Seen,
    range: AddressRange,
    group: &str,
    confidence: Confidence,
    words: &str,
) {
    let found = seen.at(range.start);
    let label = &found.label;
    let fits = found.range == range
        && label.group == group
        && label.confidence == confidence
        && label.text.contains(words);
    assert!(fits, "{range} is no {confidence} {group} ({words}) but {found:?}\n{}", seen.text());
}
