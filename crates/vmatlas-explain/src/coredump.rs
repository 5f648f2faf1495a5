//! ELF core dumps: the mappings, threads and memory of a process as it ended.
//!
//! [`CoreDump`] joins the parts of a core: the program headers contain every mapping and its
//! permissions, `NT_FILE` the files, the auxiliary vector the addresses of the stack and the vDSO,
//! `NT_PRSTATUS` the registers of each thread, `NT_SIGINFO` the signal. It invents nothing that no
//! core contains: whether a mapping is shared (`?`), its device and inode (0), the names of
//! anonymous memory.
//!
//! A core may come from any machine, with any byte order and word size, written by the kernel, by
//! gdb's `gcore` or by QEMU. It may be truncated or hostile. Opening a core reads only headers and
//! notes; memory is read page by page on demand, so a core of a GiB costs few reads.
//!
//! # References
//!
//! core(5), elf(5); fs/binfmt_elf.c, include/linux/elfcore.h and fs/coredump.c of Linux 6.18.

mod crash;
mod error;
mod files;
mod headers;
mod headers_in_memory;
mod heap;
mod images;
mod layout;
mod linker;
mod names;
mod notes;
mod registers;
mod rows;
mod siginfo;
mod signal_frame;
pub(crate) mod signal_numbers;
mod thread;
mod window;

pub use error::{CoreError, CoreErrorKind, PageError};
pub use images::CoreImage;
pub use siginfo::SigInfo;
pub use signal_frame::{
    RETURN_OF_HANDLER, SignalFrame, is_after_system_call, is_handler_return, signal_frames,
};
pub use thread::CoreThread;
pub use vmatlas_object::ReadAt;

use crate::crash::Machine;
use crate::label::Auxv;
use files::MappedFiles;
use headers::Segment;
use layout::Layout;
use std::sync::OnceLock;
use vmatlas_maps::AddressRange;
use vmatlas_maps::Maps;
use vmatlas_maps::Warning;
use vmatlas_maps::WordSize;
use vmatlas_maps::uapi::auxvec::{AT_PAGESZ, AT_SYSINFO_EHDR};
use vmatlas_object::Memory;

/// The kernel writes no file names for more mappings than this, unless its limit of 4 MiB is raised
/// (`kernel.core_file_note_size_limit`).
const MAX_NAMED: usize = 65_535;

/// A core dump.
///
/// ```
/// use vmatlas_explain::coredump::{CoreDump, CoreErrorKind};
/// let error = CoreDump::read(&b"\x7fELF\x02\x01\x01 and no more"[..]).unwrap_err();
/// assert_eq!(error.kind, CoreErrorKind::Truncated);
/// ```
#[derive(Debug)]
pub struct CoreDump<S> {
    source: S,
    machine: Machine,
    layout: Layout,
    segments: Vec<Segment>,
    files: MappedFiles,
    threads: Vec<CoreThread>,
    auxv: Auxv,
    pid: Option<u32>,
    comm: Option<Vec<u8>>,
    of_gdb: bool,
    maps: Maps,
    page_error: OnceLock<PageError>,
}

impl<S: ReadAt> CoreDump<S> {
    /// Reads headers and notes. [`warnings`](Self::warnings) lists the parts that are missing or
    /// invalid.
    ///
    /// # Errors
    ///
    /// If the source is not an ELF core dump, is truncated before the first program header, or has
    /// an unreadable ELF header.
    pub fn read(source: S) -> Result<CoreDump<S>, CoreError> {
        let headers = headers::read(&source)?;
        let notes = notes::read(&source, &headers.notes, headers.machine, headers.layout);
        let mut warnings = headers.warnings;
        warnings.extend(notes.warnings);
        let mut core = CoreDump {
            machine: headers.machine,
            layout: headers.layout,
            segments: headers.segments,
            files: MappedFiles::default(),
            threads: notes.threads,
            auxv: notes.auxv,
            pid: notes.pid,
            comm: notes.comm,
            of_gdb: notes.of_gdb,
            maps: Maps::default(),
            page_error: OnceLock::new(),
            source,
        };
        match notes.files {
            Some(files) => core.files = files,
            None => {
                core.files = core.files_of_linker();
                warnings.push(core.without_names());
            }
        }
        if let Some(count) = core.files.missing {
            let there = core.files.rows.len();
            warnings.push(format!(
                "the note NT_FILE is damaged or cut: {there} of {count} files were read"
            ));
        }
        warnings.extend(core.missing());
        warnings.extend(core.missing_vdso());
        let names = names::of(&core);
        core.maps = rows::join(&core.segments, &core.files, &names, core.of_gdb);
        core.maps.set_word_size(core.kernel_word_size());
        if core.of_gdb {
            warnings.push(
                "gdb wrote it: files that the program did not change are without permissions, \
                 memory may be missing, and `?--` may be a guard"
                    .to_owned(),
            );
        }
        warnings.extend(core.page_error().map(ToString::to_string));
        warnings.into_iter().for_each(|warning| core.maps.warn(warning));
        Ok(core)
    }

    /// The word size of the kernel: a 64-bit kernel places the stack of a 32-bit process above 3
    /// GiB, where a 32-bit kernel has its own memory.
    fn kernel_word_size(&self) -> WordSize {
        let stack = self.maps.iter().find(|row| row.name == b"[stack]");
        match (self.machine, stack) {
            (Machine::X86 | Machine::Arm, Some(stack)) if stack.range.end <= 3 << 30 => {
                WordSize::Bits32
            }
            _ => WordSize::Bits64,
        }
    }

    /// A warning that gives the likely reason for missing file names (`fill_files_note` in
    /// fs/binfmt_elf.c).
    fn without_names(&self) -> String {
        let mut text = "it has no names of files (no note NT_FILE was read)".to_owned();
        if self.segments.len() > MAX_NAMED {
            text.push_str(
                ": the kernel leaves them out where they could take more than \
                 kernel.core_file_note_size_limit, 64 bytes for each mapping",
            );
        }
        if !self.files.rows.is_empty() {
            text.push_str("; those shown are the dynamic linker's");
        }
        text
    }

    /// A warning about a vDSO that the auxiliary vector has and the program headers lack: no row
    /// stands for it.
    fn missing_vdso(&self) -> Option<String> {
        let vdso = self.auxv.get(AT_SYSINFO_EHDR).filter(|&vdso| vdso != 0)?;
        let is_there = self.segment_at(vdso).is_some() || self.has_file(vdso);
        (!is_there && !self.segments.is_empty()).then(|| {
            format!(
                "the vDSO at {vdso:#x} is missing: the auxiliary vector has its address, the core \
                 has no memory there"
            )
        })
    }

    /// A warning about memory that the program headers list and the file does not contain.
    fn missing(&self) -> Option<String> {
        let length = self.source.size()?;
        let lost = |segment: &&Segment| self.held(segment) < segment.file_size;
        let first = self.segments.iter().find(lost)?;
        let sum = |sum: u64, segment: &Segment| {
            sum.saturating_add(segment.file_size - self.held(segment))
        };
        let bytes = self.segments.iter().fold(0, sum);
        let address = first.range.start.saturating_add(self.held(first));
        Some(format!(
            "the file is cut at byte {length:#x}: {bytes:#x} bytes of memory are missing, from \
             address {address:#x} on"
        ))
    }

    /// The mappings. The last of the four permissions is `?` (a core does not distinguish shared
    /// from private), device and inode are 0.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The threads. The first one crashed; in a core that gdb wrote, it is the thread that gdb had
    /// selected.
    pub fn threads(&self) -> &[CoreThread] {
        &self.threads
    }

    /// The `siginfo_t` of the signal that ended the process.
    pub fn siginfo(&self) -> Option<&SigInfo> {
        self.threads.first()?.siginfo.as_ref()
    }

    /// The auxiliary vector, see getauxval(3).
    pub fn auxv(&self) -> &Auxv {
        &self.auxv
    }

    /// The machine on which the process ran.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Whether the core is big-endian (`EI_DATA`).
    pub fn is_big_endian(&self) -> bool {
        self.layout.big_endian
    }

    /// The process id in the PID namespace of the process.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The command name (proc_pid_comm(5)) of the first thread.
    pub fn comm(&self) -> Option<&[u8]> {
        self.comm.as_deref()
    }

    /// The page size in bytes, from `AT_PAGESZ` or `NT_FILE`; 4096 if neither is present.
    pub fn page_size(&self) -> u64 {
        let sane = |size: &u64| size.is_power_of_two() && (1 << 10..=1 << 24).contains(size);
        let recorded = self.auxv.get(AT_PAGESZ).filter(sane);
        recorded.or(Some(self.files.page_size).filter(sane)).unwrap_or(4096)
    }

    /// Whether gdb's `gcore` wrote the core. It omits unreadable memory.
    pub fn is_of_gdb(&self) -> bool {
        self.of_gdb
    }

    /// The parts of the file that are missing or invalid.
    pub fn warnings(&self) -> &[Warning] {
        self.maps.warnings()
    }

    /// The part of a mapping that the core contains: it begins at the mapping's start, and is empty
    /// if the core contains no byte of it. The kernel omits memory according to `coredump_filter`
    /// (core(5)) and `MADV_DONTDUMP`, for example code.
    pub fn dumped(&self, range: AddressRange) -> AddressRange {
        let held = self.segment_at(range.start).map_or(range.start, |(_, segment)| {
            segment.range.start.saturating_add(self.held(segment))
        });
        AddressRange::new(range.start, held.min(range.end))
    }

    /// The first page that the core contains and that could not be read so far. [`Memory`] cannot
    /// report this: unreadable memory looks like omitted memory. If [`read`](Self::read) failed to
    /// read a page, the page is also among the [warnings](Self::warnings).
    pub fn page_error(&self) -> Option<&PageError> {
        self.page_error.get()
    }

    /// The number of bytes of a segment in the file.
    fn held(&self, segment: &Segment) -> u64 {
        let there = self.source.size().unwrap_or(u64::MAX).saturating_sub(segment.offset);
        segment.file_size.min(there)
    }

    /// The segment that contains an address, and its index.
    fn segment_at(&self, address: u64) -> Option<(usize, &Segment)> {
        let index = self.segments.partition_point(|segment| segment.range.end <= address);
        let segment = self.segments.get(index)?;
        segment.range.contains(address).then_some((index, segment))
    }

    /// Whether a file is mapped at an address.
    fn has_file(&self, address: u64) -> bool {
        let index = self.files.rows.partition_point(|file| file.range.end <= address);
        self.files.rows.get(index).is_some_and(|file| file.range.contains(address))
    }
}

/// Reads the process's memory, as far as the core contains it.
impl<S: ReadAt> Memory for CoreDump<S> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(address) = address.checked_add(done as u64) else { break };
            let Some((_, segment)) = self.segment_at(address) else { break };
            let within = address - segment.range.start;
            let held = self.held(segment).saturating_sub(within);
            let asked = usize::try_from(held).unwrap_or(usize::MAX).min(rest.len());
            let Some(rest) = rest.get_mut(..asked).filter(|rest| !rest.is_empty()) else { break };
            let offset = segment.offset.saturating_add(within);
            let (count, result) = self.source.read_full_at(offset, rest);
            done += count;
            if let Err(error) = result {
                let (address, offset) = (address + count as u64, offset + count as u64);
                let error = (&error).into();
                self.page_error.get_or_init(|| PageError { address, offset, error });
            }
            if count < asked {
                break;
            }
        }
        done
    }
}
