//! Parses the notes of a core dump.

use super::files::MappedFiles;
use super::layout::Layout;
use super::siginfo::SigInfo;
use super::thread::CoreThread;
use super::window::Window;
use crate::crash::Machine;
use crate::label::Auxv;
use object::elf;
use vmatlas_object::{ReadAt, ReadError};

/// Maximum number of threads to keep.
const MAX_THREADS: usize = 1 << 17;
/// Maximum number of bytes to read of `NT_FILE`. The kernel writes up to 4 MiB, or 16 MiB if
/// `kernel.core_file_note_size_limit` is raised.
const MAX_FILE_NOTE: u64 = 64 << 20;
const MAX_OTHER_NOTE: u64 = 16 << 10;
/// Maximum number of notes to read.
const MAX: u64 = 1 << 22;
/// Maximum number of warnings about damaged notes; the others are counted.
const MAX_WARNINGS: usize = 4;

/// `NT_GDB_TDESC`: gdb's description of the registers in its own cores (include/elf/common.h of
/// binutils).
const NT_GDB_TDESC: u32 = 0xff00_0000;

/// The contents of the notes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// In the order of the notes. The kernel writes the thread that crashed first.
    pub(super) threads: Vec<CoreThread>,
    pub(super) pid: Option<u32>,
    pub(super) comm: Option<Vec<u8>>,
    pub(super) auxv: Auxv,
    pub(super) files: Option<MappedFiles>,
    /// Whether gdb's `gcore` wrote the core.
    pub(super) of_gdb: bool,
    pub(super) warnings: Vec<String>,
    /// The number of warnings that are not listed.
    more_warnings: u64,
}

pub(super) fn read<S: ReadAt + ?Sized>(
    source: &S,
    places: &[(u64, u64)],
    machine: Machine,
    layout: Layout,
) -> Notes {
    let mut notes = Notes::default();
    let mut window = Window::new(source);
    let mut count = 0;
    for &(start, size) in places {
        let end = start.saturating_add(size);
        let mut at = start;
        while at < end && count < MAX {
            let cut = |why: Option<ReadError>| match why {
                Some(error) => {
                    format!("its notes cannot be read, at byte {at:#x} of {end:#x}: {error}")
                }
                None => format!("the file ends in its notes, at byte {at:#x} of {end:#x}"),
            };
            let Some(header) = window.get(at, 12).first_chunk::<12>().copied() else {
                notes.warn(cut(window.error()));
                break;
            };
            let field = |at| layout.u32(&header, at).unwrap_or(0);
            let (name_size, size, kind) = (field(0), field(4), field(8));
            let name_at = at.saturating_add(12);
            let bytes_at = name_at.saturating_add(padded(name_size));
            let next = bytes_at.saturating_add(padded(size));
            if bytes_at.saturating_add(u64::from(size)) > end {
                notes.warn(format!(
                    "the note at byte {at:#x} goes beyond the notes: the rest is left out"
                ));
                break;
            }
            let mut name = [0; 8];
            for (to, from) in name.iter_mut().zip(window.get(name_at, name_size.min(8) as usize)) {
                *to = *from;
            }
            let most = if kind == elf::NT_FILE.0 { MAX_FILE_NOTE } else { MAX_OTHER_NOTE };
            if wanted(&name, kind) {
                let asked = u64::from(size).min(most);
                let size = usize::try_from(asked).unwrap_or(usize::MAX);
                let bytes = window.get_large(bytes_at, size);
                if bytes.len() < size {
                    notes.warn(cut(window.error()));
                }
                notes.take(kind, &bytes, machine, layout);
            }
            at = next;
            count += 1;
        }
    }
    if notes.more_warnings > 0 {
        let more = notes.more_warnings;
        notes.warnings.push(format!("{more} more of its notes are damaged or cut"));
    }
    if notes.threads.len() == MAX_THREADS {
        notes.warnings.push(format!("only the first {MAX_THREADS} threads are kept"));
    }
    notes
}

impl Notes {
    /// Adds a warning about a damaged note.
    fn warn(&mut self, text: String) {
        match self.warnings.len() < MAX_WARNINGS {
            true => self.warnings.push(text),
            false => self.more_warnings += 1,
        }
    }
}

fn auxiliary_vector(bytes: &[u8], layout: Layout) -> Vec<(u64, u64)> {
    let words: Vec<u64> = layout.words(bytes).collect();
    let entries = words.chunks_exact(2).filter_map(|pair| match *pair {
        [kind, value] => Some((kind, value)),
        _ => None,
    });
    entries.take_while(|(kind, _)| *kind != 0).collect()
}

/// Rounds a size up to 4 bytes, as notes of both classes are.
fn padded(size: u32) -> u64 {
    u64::from(size).next_multiple_of(4)
}

fn wanted(name: &[u8; 8], kind: u32) -> bool {
    let kind = elf::NoteType(kind);
    match name {
        b"CORE\0\0\0\0" => matches!(
            kind,
            elf::NT_PRSTATUS | elf::NT_PRPSINFO | elf::NT_AUXV | elf::NT_SIGINFO | elf::NT_FILE
        ),
        b"LINUX\0\0\0" => matches!(kind, elf::NT_386_TLS | elf::NT_ARM_TLS),
        b"GDB\0\0\0\0\0" => kind.0 == NT_GDB_TDESC,
        _ => false,
    }
}

impl Notes {
    fn take(&mut self, kind: u32, bytes: &[u8], machine: Machine, layout: Layout) {
        match elf::NoteType(kind) {
            elf::NT_PRSTATUS if self.threads.len() < MAX_THREADS => {
                self.threads.extend(CoreThread::parse(bytes, machine, layout));
            }
            elf::NT_PRPSINFO => self.take_process(bytes, layout),
            elf::NT_SIGINFO => {
                if let Some(thread) = self.threads.last_mut() {
                    thread.siginfo = SigInfo::parse(bytes, machine, layout);
                }
            }
            elf::NT_AUXV => {
                let entries = auxiliary_vector(bytes, layout);
                // As in NT_FILE, the words may be those of a 64-bit kernel.
                let is_empty = entries.iter().all(|(_, value)| *value == 0);
                self.auxv.entries = match is_empty && layout.word == 4 {
                    true => auxiliary_vector(bytes, Layout { word: 8, ..layout }),
                    false => entries,
                };
            }
            elf::NT_FILE => self.files = Some(MappedFiles::parse(bytes, layout)),
            elf::NT_386_TLS => {
                if let Some(thread) = self.threads.last_mut() {
                    thread.take_x86_tls(bytes, layout);
                }
            }
            elf::NT_ARM_TLS => {
                if let Some(thread) = self.threads.last_mut() {
                    thread.take_arm_tls(bytes, layout);
                }
            }
            elf::NoteType(NT_GDB_TDESC) => self.of_gdb = true,
            _ => {}
        }
    }

    /// Reads `struct elf_prpsinfo` (include/linux/elfcore.h). User ids have 2 bytes on some 32-bit
    /// machines and 4 on others. The program's arguments, which follow, are ignored.
    fn take_process(&mut self, bytes: &[u8], layout: Layout) {
        let (pid, name) = match (layout.word, bytes.len()) {
            (8, _) => (24, 40),
            (_, 124) => (12, 28),
            _ => (16, 32),
        };
        self.pid = layout.u32(bytes, pid);
        let name = bytes.get(name..name + 16).unwrap_or_default();
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        self.comm = Some(name.to_vec()).filter(|name| !name.is_empty());
    }
}
