//! ELF core dumps: the mappings, threads and memory of a process as it ended.
//!
//! [`CoreDump`] joins what is spread over the parts of a core: the program headers have every
//! mapping and its permissions, `NT_FILE` the files, the auxiliary vector the stack and the vDSO,
//! `NT_PRSTATUS` the registers of each thread, `NT_SIGINFO` the cause. What no core holds is not
//! made up: whether a mapping is shared (`?`), its device and inode (0), the names of anonymous
//! memory.
//!
//! A core may be of any machine, byte order and word size, written by the kernel, by gdb's `gcore`
//! or by QEMU; cut, and made by someone who means harm. Only headers and notes are read at first,
//! and pages of memory when they are asked for: a core of a GiB costs some reads.
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
mod thread;
mod window;

pub use error::{CoreError, CoreErrorKind, PageError};
pub use images::CoreImage;
pub use siginfo::SigInfo;
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
use vmatlas_maps::uapi::auxvec::AT_PAGESZ;
use vmatlas_object::Memory;

/// With more mappings the kernel writes no names, unless its limit of 4 MiB is raised.
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
    /// Reads headers and notes. What is odd or missing is in [`warnings`](Self::warnings).
    ///
    /// # Errors
    ///
    /// Where it is no ELF core dump, or cut before the first program header, or its ELF header
    /// cannot be read.
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
            warnings.push(format!("the note NT_FILE is damaged: {there} of {count} files taken"));
        }
        warnings.extend(core.missing());
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

    /// The word size of the kernel: a 64-bit one puts the stack of a 32-bit process above 3 GiB,
    /// where a 32-bit one is itself.
    fn kernel_word_size(&self) -> WordSize {
        let stack = self.maps.iter().find(|row| row.name == b"[stack]");
        match (self.machine, stack) {
            (Machine::X86 | Machine::Arm, Some(stack)) if stack.range.end <= 3 << 30 => {
                WordSize::Bits32
            }
            _ => WordSize::Bits64,
        }
    }

    /// Why there may be no names (`fill_files_note` in fs/binfmt_elf.c).
    fn without_names(&self) -> String {
        let mut text = "it has no names of files (no note NT_FILE)".to_owned();
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

    /// What of the memory the file should have and has not.
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

    /// The mappings. The last of the four permissions is `?` (a core does not tell shared from
    /// private), device and inode are 0.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The threads: first the one that crashed, or, where gdb wrote the core, the one it showed.
    pub fn threads(&self) -> &[CoreThread] {
        &self.threads
    }

    /// What came with the signal that ended the process.
    pub fn siginfo(&self) -> Option<&SigInfo> {
        self.threads.first()?.siginfo.as_ref()
    }

    /// The auxiliary vector, see getauxval(3).
    pub fn auxv(&self) -> &Auxv {
        &self.auxv
    }

    /// The machine that it is of.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Whether its numbers begin with their high byte.
    pub fn is_big_endian(&self) -> bool {
        self.layout.big_endian
    }

    /// The process id, as the process saw it itself.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The command name (proc_pid_comm(5)) of the first thread.
    pub fn comm(&self) -> Option<&[u8]> {
        self.comm.as_deref()
    }

    /// The size of a page in bytes, by `AT_PAGESZ` or `NT_FILE`; 4096 where neither tells.
    pub fn page_size(&self) -> u64 {
        let sane = |size: &u64| size.is_power_of_two() && (1 << 10..=1 << 24).contains(size);
        let told = self.auxv.get(AT_PAGESZ).filter(sane);
        told.or(Some(self.files.page_size).filter(sane)).unwrap_or(4096)
    }

    /// Whether gdb's `gcore` wrote it, which leaves out what may not be read.
    pub fn is_of_gdb(&self) -> bool {
        self.of_gdb
    }

    /// What is odd about it, or missing.
    pub fn warnings(&self) -> &[Warning] {
        self.maps.warnings()
    }

    /// The part of a mapping that the core holds: from its start on, empty if nothing. The kernel
    /// leaves out what `coredump_filter` (core(5)) and `MADV_DONTDUMP` say, such as code.
    pub fn dumped(&self, range: AddressRange) -> AddressRange {
        let held = self.segment_at(range.start).map_or(range.start, |(_, segment)| {
            segment.range.start.saturating_add(self.held(segment))
        });
        AddressRange::new(range.start, held.min(range.end))
    }

    /// The first page so far that the core holds and that could not be read. [`Memory`] has no way
    /// to say so: memory that is missing there may be lost rather than left out. A page that could
    /// not be read by [`read`](Self::read) is among the [warnings](Self::warnings), too.
    pub fn page_error(&self) -> Option<&PageError> {
        self.page_error.get()
    }

    /// How many bytes of a segment are in the file.
    fn held(&self, segment: &Segment) -> u64 {
        let there = self.source.size().unwrap_or(u64::MAX).saturating_sub(segment.offset);
        segment.file_size.min(there)
    }

    /// The segment with an address, and its index.
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

/// As much of the process's memory as the core holds.
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
