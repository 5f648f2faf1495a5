//! All known facts about addresses.

use crate::atlas::Atlas;
use crate::recorded::Made;
use crate::row::Row;
use crate::source::file_now::FileNow;
use crate::source::kind::SourceKind;
use crate::source::live::Live;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use vmatlas_explain::beyond::Beyond;
use vmatlas_explain::label::{Labelled, copied_from};
use vmatlas_explain::tagged::Tagged;
use vmatlas_linux::elf::{ElfFile, FileOffset, Vaddr, demangle};
use vmatlas_linux::symbols::read_jit;
use vmatlas_linux::{RowOfFile, SharedElf, all_within, has_guards};
use vmatlas_maps::WordSize;

/// The longest time to wait for the next answer while symbols and lines are read, unless the caller
/// allows more processor time.
const LIMIT: Duration = Duration::from_secs(15);
/// The size in bits of pointers without upper bits. A signature that leaves all of the higher bits 0
/// is not recognised.
const PLAIN: u32 = 47;

/// All known facts about an address.
#[derive(Clone)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The address, without upper bits that are no part of it.
    pub address: u64,
    /// The pointer that was asked for, if it has such bits.
    pub tagged: Option<Tagged>,
    /// The row that holds it.
    pub row: Option<Row<'a>>,
    /// If nothing is mapped there, the row below, and the distance in bytes from its end.
    pub below: Option<(Row<'a>, u64)>,
    /// Likewise the row above, and the distance in bytes to its start.
    pub above: Option<(Row<'a>, u64)>,
    /// If no row holds it, whether none can.
    pub beyond: Option<Beyond>,
    /// If no row holds it, the row of smaps_rollup whose range does, or another rollup of the text:
    /// it sums up mappings that the text does not list.
    pub rollup: Option<Row<'a>>,
    /// Its offset in the row's file, in bytes.
    pub file_offset: Option<u64>,
    /// The file system of the row's file.
    pub file_system: Option<FileSystem>,
    /// Facts from the ELF file.
    pub object: Option<ObjectPlace>,
    /// Whether a core dump holds the byte.
    pub dumped: Option<bool>,
    /// Whether it lies in a lightweight guard page (`MADV_GUARD_INSTALL`), which rows do not show:
    /// every access fails. `None` if its row has such pages, and it is not known which.
    pub guarded: Option<bool>,
    /// The size of the row's file now, in bytes, if the page lies behind the end of the file: every
    /// access raises SIGBUS (mmap(2)). Only of live processes.
    pub past_file_end: Option<u64>,
    /// The purpose of the memory.
    pub label: Option<&'a Labelled>,
    /// The origin of the byte.
    pub made: Option<Made<'a>>,
}

/// The file system of a mapped file. Its strings may hold any bytes: escape them for terminals.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FileSystem {
    /// Its type, such as `ext4`.
    pub kind: String,
    /// The mounted device or other source.
    pub source: String,
    /// The path where it is mounted.
    pub mount_point: String,
}

/// Facts about an address from an ELF file. Names may hold any bytes: escape them for terminals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectPlace {
    /// The segment: its number, type and flags, as `3 LOAD R E`.
    pub segment: Option<String>,
    /// The section.
    pub section: Option<String>,
    /// The address in the file's own numbering.
    pub vaddr: Option<u64>,
    /// The number to subtract from an address of the process to get an address of the file.
    pub load_bias: Option<u64>,
    /// The symbol that holds or precedes the address.
    pub symbol: Option<SymbolPlace>,
    /// The source file and line.
    pub source: Option<(PathBuf, Option<u64>)>,
    /// The build id in hexadecimal.
    pub build_id: Option<String>,
    /// The reason why today's file gives no answer.
    pub note: Option<String>,
}

/// A symbol and the distance of an address from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SymbolPlace {
    /// The symbol's name as it stands in the file.
    pub mangled: String,
    /// The distance in bytes from its start to the address.
    pub offset: u64,
    /// The symbol table that holds it.
    pub table: String,
}

impl SymbolPlace {
    /// The demangled name.
    pub fn name(&self) -> String {
        demangle(self.mangled.as_bytes())
    }

    /// The distance in bytes from its start to the address.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl Place<'_> {
    /// The symbol that holds or precedes the address.
    pub fn symbol(&self) -> Option<&SymbolPlace> {
        self.object.as_ref()?.symbol.as_ref()
    }

    /// Whether a mapping holds the address.
    pub fn is_mapped(&self) -> bool {
        self.row.is_some()
    }

    /// Whether the source does not show what is at the address: only a rollup covers it.
    pub fn is_unknown(&self) -> bool {
        self.rollup.is_some_and(|rollup| rollup.range.contains(self.address))
    }
}

impl Atlas {
    /// All known facts about an address. For several addresses call [`at_all`](Atlas::at_all),
    /// which reads each file once.
    pub fn at(&self, address: u64) -> Place<'_> {
        let mut places = self.at_all(&[address]);
        places.pop().expect("as many places as addresses")
    }

    /// Whether no process can map an address; by the machine of the process, if known.
    pub fn beyond(&self, address: u64) -> Option<Beyond> {
        let is_low = address >> PLAIN == 0 && self.word_size() != Some(WordSize::Bits32);
        if is_low || self.maps().find(address).mapping.is_some() {
            return None;
        }
        Beyond::of(self.facts().machine, address)
    }

    /// All known facts about addresses, in their order. Each file is opened and read once.
    pub fn at_all(&self, addresses: &[u64]) -> Vec<Place<'_>> {
        let mut places: Vec<Place<'_>> = addresses.iter().map(|&at| self.place(at)).collect();
        let objects = match (self.live(), self.core(), self.recorded()) {
            (Some(live), ..) => self.objects_of_live(live, &places),
            (_, Some(core), _) => self.objects_of_files(&places, |row| core.file_now(row)),
            (.., Some(recorded)) => {
                self.objects_of_files(&places, |row| recorded.file_now(self.maps(), row.index()))
            }
            _ => Vec::new(),
        };
        for (at, object) in objects {
            if let Some(place) = places.get_mut(at) {
                place.object = Some(object);
            }
        }
        let mut sizes = HashMap::new();
        for place in &mut places {
            let Some((row, offset)) = place.row.zip(place.file_offset) else { continue };
            let size = *sizes.entry(row.index()).or_insert_with(|| self.file_size_now(&row));
            let page = self.page_size().unwrap_or(1);
            place.past_file_end =
                size.filter(|size| offset - offset % page >= size.next_multiple_of(page));
        }
        places
    }

    /// Splits a pointer that no row contains into its address and upper bits that are no part of
    /// it, such as a tag on AArch64.
    pub fn tagged(&self, pointer: u64) -> Option<Tagged> {
        // Most addresses need no facts.
        if pointer >> PLAIN == 0 || self.maps().find(pointer).mapping.is_some() {
            return None;
        }
        let facts = self.facts();
        Tagged::of(pointer, facts.machine, facts.pointer_mask, self.maps())
    }

    /// The facts that need no ELF file.
    fn place(&self, pointer: u64) -> Place<'_> {
        let tagged = self.tagged(pointer);
        let address = tagged.map_or(pointer, |tagged| tagged.address);
        let place = self.maps().find(address);
        let row = |index: Option<usize>| index.and_then(|index| self.row(index));
        let (mapping, below, above) = (row(place.mapping), row(place.before), row(place.after));
        let with_file = mapping.filter(|row| row.has_file());
        let rollup = mapping.is_none().then(|| self.rollup_at(address)).flatten();
        Place {
            address,
            tagged,
            row: mapping,
            below: below.map(|row| (row, address - row.range.end)),
            above: above.map(|row| (row, row.range.start - address)),
            rollup,
            beyond: self.beyond(address),
            file_offset: with_file.map(|row| row.mapping().offset_of(address)),
            file_system: with_file.and_then(|row| self.file_system(&row)),
            object: None,
            dumped: mapping.and_then(|row| Some(self.dumped(row.range)?.contains(address))),
            guarded: mapping.map_or(Some(false), |row| self.is_guarded(&row, address)),
            past_file_end: None,
            label: self.labels().at(address),
            made: mapping.and_then(|_| self.made_at(address)),
        }
    }

    /// Whether an address of a row lies in a guard page. `None` if the row has some, and it is not
    /// known which.
    fn is_guarded(&self, row: &Row<'_>, address: u64) -> Option<bool> {
        let known = self.facts().guards.iter().any(|guard| guard.contains(address));
        let of_live = || self.live().is_some_and(|live| live.is_guarded(address));
        let of_model = || self.recorded().is_some_and(|recorded| recorded.is_guarded(address));
        let is_guarded = known || of_live() || of_model();
        let is_known = self.source() == SourceKind::Live || !has_guards(self.maps(), row.index());
        (is_guarded || is_known).then_some(is_guarded)
    }

    /// The rollup whose range holds an address, else any.
    fn rollup_at(&self, address: u64) -> Option<Row<'_>> {
        let rollups = || self.rows().filter(|row| row.mapping().is_rollup());
        rollups().find(|row| row.range.contains(address)).or_else(|| rollups().next())
    }

    /// The size of the file of a live process's row.
    fn file_size_now(&self, row: &Row<'_>) -> Option<u64> {
        let live = self.live().filter(|live| live.process.is_live())?;
        live.files(self.maps())?.size(&row.mapping, row.truth())
    }

    fn file_system(&self, row: &Row<'_>) -> Option<FileSystem> {
        let files = self.live()?.files(self.maps())?;
        let path = row.path();
        let path = path.as_ref().map_or(&b""[..], |path| path.bytes());
        let mount = files.mounts().holding(row.mapping().device, path)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(FileSystem {
            kind: text(&mount.fs_type),
            source: text(&mount.source),
            mount_point: text(&mount.point),
        })
    }

    /// Facts from the files of a live process, each with its index in `places`.
    fn objects_of_live(&self, live: &Live, places: &[Place<'_>]) -> Vec<(usize, ObjectPlace)> {
        let maps = self.maps();
        let in_files = places.iter().enumerate();
        let in_files = in_files.filter_map(|(at, place)| Some((at, place, self.in_file(place)?)));
        let in_files: Vec<(usize, &Place<'_>, (Row<'_>, u64))> = in_files.collect();
        let rows: HashSet<usize> = in_files.iter().map(|(_, _, (row, _))| row.index()).collect();
        let Some(images) = live.images(maps, |index| rows.contains(&index)) else {
            return self.jit_objects(live, places);
        };
        let mut jobs: BTreeMap<u32, (SharedElf, Vec<Question>)> = BTreeMap::new();
        let mut rows: BTreeMap<usize, Option<Arc<RowOfFile>>> = BTreeMap::new();
        for (at, place, (row, offset)) in in_files {
            let file_offset = FileOffset::new(offset);
            let Some((number, elf)) = images.shared(row.index()) else { continue };
            let of_file = || images.row_of_file(maps, row.index()).map(Arc::new);
            let of_file = rows.entry(row.index()).or_insert_with(of_file).clone();
            let bias = of_file.map_or(Bias::Known(None), Bias::OfRow);
            let question = Question { at, address: place.address, bias, file_offset };
            jobs.entry(number).or_insert_with(|| (elf, Vec::new())).1.push(question);
        }
        drop(images);
        let mut found = self.answers(jobs.into_values().collect());
        found.extend(self.jit_objects(live, places));
        found
    }

    /// The row of the file that holds an address, and the offset in the file. For code that was
    /// copied from a file it is a row of that file.
    fn in_file<'a>(&'a self, place: &Place<'a>) -> Option<(Row<'a>, u64)> {
        if let (Some(row), Some(offset)) = (place.row, place.file_offset) {
            return Some((row, offset));
        }
        let row = place.row?;
        if !row.perms.execute() || place.label?.label.group != "replaced file pages" {
            return None;
        }
        let file = self.row(copied_from(self.maps(), self.facts(), row.index())?)?;
        let distance = place.address.wrapping_sub(file.range.start);
        Some((file, file.mapping().offset.wrapping_add(distance)))
    }

    fn answers(&self, jobs: Vec<(SharedElf, Vec<Question>)>) -> Vec<(usize, ObjectPlace)> {
        let limit = self.limits().cpu.map_or(LIMIT, |cpu| cpu.max(LIMIT));
        answers(limit, jobs)
    }

    /// Functions that the process lists in a perf map or jitdump.
    fn jit_objects(&self, live: &Live, places: &[Place<'_>]) -> Vec<(usize, ObjectPlace)> {
        let is_listed = |place: &Place<'_>| {
            self.facts().jit_code.iter().any(|code| code.contains(place.address))
        };
        let wanted: Vec<(usize, &Place<'_>)> =
            places.iter().enumerate().filter(|(_, place)| is_listed(place)).collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        let (names, _) = read_jit(&live.process, &live.budget());
        let object = |(at, place): (usize, &Place<'_>)| {
            let code = names.find(place.address)?;
            let (mangled, offset) = (code.name.to_owned(), code.offset);
            let table = "perf map or jitdump".to_owned();
            let source = code.source.map(|(file, line)| (file.into(), Some(line.into())));
            let symbol = Some(SymbolPlace { mangled, offset, table });
            Some((at, ObjectPlace { symbol, source, ..ObjectPlace::default() }))
        };
        wanted.into_iter().filter_map(object).collect()
    }

    /// Facts from today's files of a core dump or a recording, each with its index in `places`.
    fn objects_of_files(
        &self,
        places: &[Place<'_>],
        file_now: impl Fn(&Row<'_>) -> Option<FileNow>,
    ) -> Vec<(usize, ObjectPlace)> {
        let mut jobs: BTreeMap<usize, (SharedElf, Vec<Question>)> = BTreeMap::new();
        let mut all = Vec::new();
        for (at, place) in places.iter().enumerate() {
            let Some(row) = place.row else { continue };
            let Some(FileNow { elf, bias, build_id }) = file_now(&row) else { continue };
            let address = place.address;
            let without_file = |note: String| ObjectPlace {
                vaddr: bias.map(|bias| address.wrapping_sub(bias)),
                load_bias: bias,
                build_id: build_id.as_deref().map(crate::words::hex),
                note: Some(note),
                ..ObjectPlace::default()
            };
            match elf {
                Ok(elf) => {
                    all.push((at, without_file(TOO_LONG.to_owned())));
                    let file_offset = FileOffset::new(row.mapping().offset_of(address));
                    let bias = Bias::Known(bias);
                    let question = Question { at, address, bias, file_offset };
                    let key = Arc::as_ptr(&elf) as usize;
                    jobs.entry(key).or_insert_with(|| (elf, Vec::new())).1.push(question);
                }
                Err(why) => all.push((at, without_file(why))),
            }
        }
        // Answers come later than the placeholder notes and replace them.
        all.extend(self.answers(jobs.into_values().collect()));
        all
    }
}

/// An address to look up in a file.
struct Question {
    /// Its index among the requested addresses.
    at: usize,
    address: u64,
    bias: Bias,
    file_offset: FileOffset,
}

/// The number to subtract from an address of the process to get an address of the file.
enum Bias {
    Known(Option<u64>),
    /// Computed from the row and the file, and shared by all addresses of a row.
    OfRow(Arc<RowOfFile>),
}

/// Looks the addresses up, one thread for each file, until no answer comes within `limit`.
fn answers(limit: Duration, jobs: Vec<(SharedElf, Vec<Question>)>) -> Vec<(usize, ObjectPlace)> {
    let jobs = jobs.into_iter().map(|(elf, questions)| {
        move |results: &vmatlas_linux::Results<(usize, ObjectPlace)>| {
            let elf = elf.lock().unwrap_or_else(PoisonError::into_inner);
            let mut last: Option<(Arc<RowOfFile>, Option<u64>)> = None;
            let mut places = Vec::new();
            for Question { at, address, bias, file_offset } in questions {
                let bias = match bias {
                    Bias::Known(bias) => bias,
                    Bias::OfRow(row) => match &last {
                        Some((known, bias)) if Arc::ptr_eq(known, &row) => *bias,
                        _ => last.insert((row.clone(), row.bias(&elf))).1,
                    },
                };
                let place = by_headers(&elf, bias, address, file_offset);
                results.add((at, ObjectPlace { note: Some(TOO_LONG.to_owned()), ..place.clone() }));
                places.push((at, place));
            }
            // Each answer is replaced by one that has more, so that no limit loses what is known.
            for (at, mut place) in places {
                if let Some(vaddr) = place.vaddr.map(Vaddr::new) {
                    name(&elf, vaddr, &mut place);
                    let note = place.note.clone().or(Some(TOO_LONG.to_owned()));
                    results.add((at, ObjectPlace { note, ..place.clone() }));
                    find_line(&elf, vaddr, &mut place);
                }
                results.add((at, place));
            }
        }
    });
    all_within(limit, jobs)
}

/// What is said of an address while its file is read.
const TOO_LONG: &str = "the file takes too long to read";

/// The facts from the headers of a file.
fn by_headers(
    file: &ElfFile,
    bias: Option<u64>,
    address: u64,
    file_offset: FileOffset,
) -> ObjectPlace {
    let vaddr = bias.map(|bias| Vaddr::in_file(address, bias));
    let (segment, section) = match vaddr {
        Some(vaddr) => (file.segment_at(vaddr), file.section_at(vaddr)),
        None => (file.segment_at_offset(file_offset), file.section_at_offset(file_offset)),
    };
    ObjectPlace {
        segment: segment
            .map(|segment| format!("{} {} {}", segment.index, segment.kind, segment.flags)),
        // A damaged or hostile file has sections without a name.
        section: section.map(|section| section.name.clone()).filter(|name| !name.is_empty()),
        vaddr: vaddr.map(Vaddr::get),
        load_bias: bias,
        build_id: file.build_id(),
        ..ObjectPlace::default()
    }
}

/// Adds the symbol, or why there is none.
fn name(file: &ElfFile, vaddr: Vaddr, place: &mut ObjectPlace) {
    match file.symbol_at(vaddr) {
        Ok(symbol) => {
            let symbol = symbol.filter(|symbol| !symbol.name.is_empty());
            place.symbol = symbol.map(|symbol| SymbolPlace {
                mangled: String::from_utf8_lossy(symbol.name).into_owned(),
                offset: symbol.offset,
                table: symbol.source.to_string(),
            });
        }
        Err(error) => place.note = Some(error.to_string()),
    }
}

/// Adds the source line, or why there is none.
fn find_line(file: &ElfFile, vaddr: Vaddr, place: &mut ObjectPlace) {
    match file.source_at(vaddr) {
        Ok(source) => place.source = source.map(|source| (source.file, source.line)),
        Err(error) => drop(place.note.get_or_insert(error.to_string())),
    }
}
