//! Records mapped files, code, and the facts that a call's arguments lack.

use super::{ROWS_TO_CHECK, Recorder};
use crate::elf;
use crate::record::shown::Shown;
use crate::record::space::LiveSpace;
use crate::record::unwind::Backing;
use crate::symbols::{Module, Place, Symbolizer, read_jit};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use vmatlas_maps::uapi::mman::{
    MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, MAP_TYPE, MREMAP_DONTUNMAP, PROT_EXEC,
};
use vmatlas_maps::uapi::prctl::PR_SET_VMA;
use vmatlas_maps::{AddressRange, Device, Kind, Mapping, Maps};
use vmatlas_object::Budget;
use vmatlas_recording::{Applied, Call, CallKind, FileEntry, PlaceEntry, RecordedRow, SymbolEntry};

/// A known file: its number in the recording, and the identity of its code.
#[derive(Clone, Debug)]
pub(super) struct KnownFile {
    number: u32,
    backing: Arc<Backing>,
}

impl Recorder {
    /// The file of a row. The build id of a new file is read.
    pub(super) fn file(&mut self, space: &LiveSpace, row: &Mapping<'_>) -> KnownFile {
        let key = (row.device, row.inode, row.name.to_vec());
        if let Some(known) = self.files.get(&key) {
            return known.clone();
        }
        self.code.note(&space.process(), row);
        let build_id = self.code.open(&space.process(), row).and_then(|file| {
            let elf = elf::read_regular(file).ok()??;
            elf.build_id_bytes().map(<[u8]>::to_vec)
        });
        let entry = FileEntry {
            device: row.device,
            inode: row.inode,
            name: row.name.to_vec(),
            build_id: build_id.unwrap_or_default(),
        };
        let number = self.writer.file(&entry);
        let name = row.name.to_vec().into_boxed_slice();
        let backing = Arc::new(Backing { device: row.device, inode: row.inode, name });
        let known = KnownFile { number, backing };
        self.files.insert(key, known.clone());
        known
    }

    /// The rows as a recording has them.
    pub(in crate::record) fn rows(&mut self, space: &LiveSpace, rows: &Maps) -> Vec<RecordedRow> {
        let entry = |row: Mapping<'_>| {
            let nothing = row.name.is_empty() && row.inode == 0 && row.device == Device::default();
            let file = if nothing { 0 } else { self.file(space, &row).number };
            RecordedRow { range: row.range, perms: row.perms, offset: row.offset, file }
        };
        rows.iter().filter(|row| row.kind() != Kind::Vsyscall).map(entry).collect()
    }

    /// Records the code of all rows of an address space.
    pub(super) fn map_all_code(&mut self, space: &mut LiveSpace, rows: &Maps) {
        let is_code = |row: &Mapping<'_>| row.inode != 0 || row.perms.execute();
        for row in rows.iter().filter(|row| is_code(row) && row.kind() != Kind::Vsyscall) {
            self.map_code(space, &row);
        }
    }

    /// Records that a row's code became executable or is no longer executable.
    pub(in crate::record) fn map_code(&mut self, space: &mut LiveSpace, row: &Mapping<'_>) {
        let process = space.process();
        if row.name == b"[vdso]" {
            let size = usize::try_from(row.range.size()).unwrap_or(0).min(1 << 16);
            let mut bytes = vec![0; size];
            let KnownFile { number, backing } = self.file(space, row);
            let read =
                self.access.memory(space).map(|memory| memory.read_at(row.range.start, &mut bytes));
            if read == Some(Ok(size)) {
                space.modules.map_bytes(&mut self.images, row.range, &backing, &bytes);
            }
            self.note_image(space, row.range.start, number);
        } else if row.inode != 0 {
            let KnownFile { number, backing } = self.file(space, row);
            let (code, images) = (&mut self.code, &mut self.images);
            let open = || code.open(&process, row).map(elf::code_file);
            let executable = row.perms.execute();
            space.modules.map_file(images, row.range, row.offset, &backing, executable, open);
            self.note_image(space, row.range.start, number);
        } else {
            space.modules.map_anonymous(row.range, row.perms.execute());
        }
    }

    pub(super) fn note_image(&mut self, space: &LiveSpace, address: u64, number: u32) {
        if let Some(place) = space.modules.find(address) {
            self.image_numbers.insert(place.file, number);
        }
    }

    /// Applies a call to the executable mappings.
    ///
    /// `shown` is the row of the new mapping.
    pub(in crate::record) fn follow_code(
        &mut self,
        space: &mut LiveSpace,
        call: &Call,
        applied: &Applied,
        shown: Option<&Shown>,
    ) {
        let [range, new] = applied.touched;
        match call.kind {
            CallKind::Mmap => {
                let executable = call.args[2] & PROT_EXEC != 0;
                if call.args[3] & MAP_ANONYMOUS != 0 {
                    space.modules.map_anonymous(range, executable);
                } else if let Some(shown) = shown {
                    // The kernel may have merged it with its neighbours; the link in map_files is
                    // that of the merged range.
                    self.map_code(space, &shown.row());
                }
            }
            CallKind::Munmap | CallKind::Shmat | CallKind::Shmdt | CallKind::IoSetup => {
                space.modules.unmap(range);
            }
            CallKind::ArchPrctl => {
                space.modules.unmap(range);
                if let Some(shown) = shown {
                    self.map_code(space, &shown.row());
                }
            }
            CallKind::Mprotect | CallKind::PkeyMprotect => {
                let executable = call.args[2] & PROT_EXEC != 0;
                let process = space.process();
                let (code, images) = (&mut self.code, &mut self.images);
                let mut opened = Vec::new();
                space.modules.protect(images, range, executable, |backing| {
                    opened.push(());
                    let (device, inode) = (backing.device, backing.inode);
                    let perms = vmatlas_maps::Perms(*b"r-xp");
                    let name = &*backing.name;
                    let row = Mapping { range, perms, offset: 0, device, inode, name };
                    code.open(&process, &row).map(elf::code_file)
                });
                if !opened.is_empty() {
                    self.note_images(space, range);
                }
            }
            CallKind::Mremap => {
                let keep = call.args[3] & MREMAP_DONTUNMAP != 0;
                space.modules.remap(range, new, keep);
            }
            _ => {}
        }
    }

    /// Records the files of which parts became executable in `range`.
    pub(super) fn note_images(&mut self, space: &mut LiveSpace, range: AddressRange) {
        let Some(rows) = space.rows(range, ROWS_TO_CHECK) else { return };
        for row in rows.iter().filter(|row| row.inode != 0 && row.perms.execute()) {
            let KnownFile { number, .. } = self.file(space, &row);
            self.note_image(space, row.range.start, number);
        }
    }

    /// The row with the facts that a call's arguments lack: the mapped file, the size of a segment,
    /// the name of memory. The address of a new `[vdso]` is unknown too, and becomes an argument.
    pub(in crate::record) fn row_of(
        &self,
        space: &mut LiveSpace,
        call: &mut Call,
    ) -> Option<Shown> {
        if call.maps_vdso() {
            let rows = space.all_rows().ok()?;
            let (start, shown) = vdso(rows.iter())?;
            call.args[1] = start;
            return Some(shown);
        }
        Some(Shown::of(&space.find(row_address(call)?)?))
    }

    /// Takes the size of the mapping and the number of the file from that row.
    pub(in crate::record) fn complete(
        &mut self,
        space: &LiveSpace,
        call: &mut Call,
        shown: &Shown,
    ) -> u32 {
        let row = shown.row();
        let size = |at: u64| row.range.end.saturating_sub(at);
        match call.kind {
            CallKind::Shmat => call.args[3] = size(call.result as u64),
            CallKind::IoSetup => call.args[2] = size(call.args[1]),
            CallKind::Prctl => {
                let (Kind::NamedAnonymous { name } | Kind::NamedSharedAnonymous { name }) =
                    row.kind()
                else {
                    return 0;
                };
                let entry = FileEntry { name: name.to_vec(), ..FileEntry::default() };
                return self.writer.file(&entry);
            }
            _ => {}
        }
        if row.inode == 0 && row.device == Device::default() {
            return 0;
        }
        self.file(space, &row).number
    }

    /// Writes the function names for stacks in files that cannot be found again by path, because
    /// they are deleted, replaced, or in another mount namespace.
    pub(super) fn name_lost(&mut self, space: &LiveSpace) {
        let lost: HashSet<u32> = space.places.iter().map(|(file, _)| *file).collect();
        let lost: HashSet<u32> =
            lost.into_iter().filter(|file| !self.is_found_again(*file)).collect();
        if lost.is_empty() {
            return;
        }
        let Ok(rows) = space.all_rows() else { return };
        let mut symbolizer = Symbolizer::default();
        let mut modules = HashMap::new();
        for row in rows.iter().filter(|row| row.perms.execute()) {
            // The row may show it as deleted by now, so its name is not compared.
            let is_row = |file: &&u32| {
                let entry = &self.writer.files()[**file as usize];
                entry.inode == row.inode && entry.device == row.device
            };
            let Some(&number) = lost.iter().find(is_row) else { continue };
            if modules.contains_key(&number) {
                continue;
            }
            let Some(file) = self.code.open(&space.process(), &row) else { continue };
            let entry = &self.writer.files()[number as usize];
            let module = symbolizer.add_module(Module::from_entry(entry));
            symbolizer.give_file(module, file);
            modules.insert(number, module);
        }
        let places: Vec<(u32, Place)> = space
            .places
            .iter()
            .filter_map(|(file, offset)| {
                let module = *modules.get(file)?;
                Some((*file, Place::File { module, offset: *offset }))
            })
            .collect();
        let asked: Vec<Place> = places.iter().map(|(_, place)| *place).collect();
        for ((file, place), frames) in places.iter().zip(symbolizer.symbolize(&asked)) {
            let Place::File { offset, .. } = *place else { continue };
            for frame in frames.iter().filter(|frame| !frame.function.is_empty()) {
                self.writer.place(&PlaceEntry {
                    file: *file,
                    offset,
                    function: frame.function.clone().into_bytes(),
                    function_offset: frame.shown_offset(),
                    source: frame.source.clone().unwrap_or_default().into_bytes(),
                    inlined: frame.inlined,
                });
            }
        }
    }

    /// Whether the file is also at its path for us.
    fn is_found_again(&self, number: u32) -> bool {
        let Some(entry) = self.writer.files().get(number as usize) else { return true };
        if !entry.name.starts_with(b"/") {
            return true;
        }
        let path = vmatlas_maps::restore_line_feeds(&entry.name);
        let found = std::fs::metadata(OsStr::from_bytes(&path));
        found.is_ok_and(|found| found.is_file() && found.ino() == entry.inode)
    }

    /// Writes the runtime's names for code on stacks.
    pub(super) fn name_jit(&mut self, pid: u32, space: &LiveSpace) {
        if space.jit.is_empty() {
            return;
        }
        let (names, _) = read_jit(&space.process(), &Budget::default());
        let mut symbols: BTreeMap<u64, (u64, &str)> = BTreeMap::new();
        for pc in &space.jit {
            let Some(code) = names.find(*pc) else { continue };
            let size = &mut symbols.entry(code.start).or_insert((0, code.name)).0;
            *size = (*size).max(code.offset + 1);
        }
        for (address, (size, name)) in symbols {
            let name = name.as_bytes().to_vec();
            self.writer.symbol(&SymbolEntry { pid, address, size, name });
        }
    }
}

/// The row of `[vdso]`, and the start of the lowest mapping made with it.
pub(in crate::record) fn vdso<'a>(
    rows: impl Iterator<Item = Mapping<'a>> + Clone,
) -> Option<(u64, Shown)> {
    let vdso = rows.clone().find(|row| row.name == b"[vdso]")?;
    let mut start = vdso.range.start;
    let below = |start| {
        let mut rows = rows.clone().filter(|row| row.name.starts_with(b"[vvar"));
        rows.find(|row| row.range.end == start).map(|row| row.range.start)
    };
    while let Some(lower) = below(start).filter(|lower| *lower < start) {
        start = lower;
    }
    Some((start, Shown::of(&vdso)))
}

/// The address of the row with the facts that a call's arguments lack; `None` if the arguments have
/// them all.
pub(in crate::record) fn row_address(call: &Call) -> Option<u64> {
    match call.kind {
        // Shared memory and huge pages have an inode too.
        CallKind::Mmap
            if call.args[3] & MAP_ANONYMOUS == 0
                || call.args[3] & MAP_TYPE != MAP_PRIVATE
                || call.args[3] & MAP_HUGETLB != 0 =>
        {
            Some(call.result as u64)
        }
        CallKind::Shmat => Some(call.result as u64),
        // The backend has read the ring's address.
        CallKind::IoSetup => Some(call.args[1]),
        CallKind::Prctl if call.args[0] == PR_SET_VMA => Some(call.args[2]),
        _ => None,
    }
}
