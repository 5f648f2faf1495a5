//! execve(2) of an ELF program (fs/binfmt_elf.c, fs/exec.c, arch/x86/entry/vdso/vma.c).

use super::merge::Joining;
use super::mmap::{access, ksm_compatible};
use super::vma::Vma;
use super::{AddressSpace, CallRange, Faults, File, KernelProfile, Mmap, Prot, Special, VmaFlags};
use crate::Errno;
use std::mem;
use vmatlas_maps::{AddressRange, WordSize};

/// The layout that the kernel makes for an executed program.
///
/// Only the kernel knows randomised addresses, so the caller must provide them. `None` means that
/// the model computes the address from the rest; without randomisation (`ADDR_NO_RANDOMIZE`) it
/// can compute everything but the stack pointer and the size of the vDSO.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exec {
    /// The program's ELF file.
    pub program: Image,
    /// Its dynamic linker (`PT_INTERP`).
    pub interpreter: Option<Image>,
    /// The `[stack]`.
    pub stack: Stack,
    /// The kernel's own mappings in ascending order, with their sizes in bytes: `[vvar]`,
    /// `[vvar_vclock]`, `[vdso]`.
    pub vdso: Vec<(Special, u64)>,
    /// The address of the lowest of them; `None` for the highest free place.
    ///
    /// Before 6.9 the kernel maps them above a randomised stack; give the address then.
    pub vdso_address: Option<u64>,
    /// The start of the heap; `None` if it is not randomised.
    pub start_brk: Option<u64>,
    /// The address below which the kernel places new mappings; `None` if it is not randomised.
    pub mmap_base: Option<u64>,
    /// `personality(MMAP_PAGE_ZERO)` is set, and the process may map page 0.
    pub page_zero: bool,
}

/// The facts of an ELF file that execve(2) uses.
#[derive(Clone, Debug)]
pub struct Image {
    /// The open file.
    pub file: File,
    /// The segments to load, in the order of the program headers.
    pub segments: Vec<LoadSegment>,
    /// The load bias, in bytes: 0 for `ET_EXEC`; `None` for an `ET_DYN` file at its address without
    /// randomisation. That is the highest free place for every interpreter and every program
    /// without one, else the kernel's base for position-independent programs.
    pub bias: Option<u64>,
    /// Whether `PT_GNU_STACK` requests an executable stack; `None` without that header. The
    /// interpreter's header is ignored.
    pub executable_stack: Option<bool>,
}

/// A `PT_LOAD` program header, see elf(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSegment {
    /// `p_offset`, in bytes.
    pub offset: u64,
    /// `p_vaddr`: the address before the load bias is added.
    pub vaddr: u64,
    /// `p_filesz`, in bytes.
    pub file_size: u64,
    /// `p_memsz`, in bytes: the part beyond `file_size` is zero.
    pub memory_size: u64,
    /// `p_flags`.
    pub prot: Prot,
    /// `p_align`, in bytes.
    pub align: u64,
}

/// The `[stack]` that execve(2) makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stack {
    /// The lowest address.
    pub start: u64,
    /// The end address.
    pub end: u64,
    /// The stack pointer when the program starts (`mm->start_stack`). The mapping that contains it
    /// is shown as `[stack]`.
    pub pointer: u64,
}

impl Stack {
    /// The stack at whose end the [strings](Stack::strings) lie (from `arg_start` of
    /// /proc/PID/stat). It extends 128 KiB below them, if RLIMIT_STACK allows that.
    ///
    /// ```
    /// use vmatlas_space::{KernelProfile, Stack};
    /// let profile = KernelProfile::of("6.18".parse()?);
    /// let end = profile.task_size;
    /// let strings = Stack::strings(end, [&b"/bin/true"[..], b"true", b"LANG=C"]);
    /// assert_eq!((strings.start, strings.end), (end - 8 - 10 - 5 - 7, end));
    /// let stack = Stack::new(&profile, strings, strings.start - 0x300);
    /// assert_eq!(stack.start, end - 0x21000);
    /// # Ok::<(), vmatlas_maps::KernelVersionError>(())
    /// ```
    pub fn new(profile: &KernelProfile, strings: AddressRange, pointer: u64) -> Stack {
        let floor = |address: u64| address & !(profile.page_size() - 1);
        let end = strings.end;
        let written = floor(strings.start);
        let size = (end - written).saturating_add(128 << 10).min(floor(profile.stack_limit));
        let start = end.saturating_sub(size).min(written).min(floor(pointer));
        Stack { start, end, pointer }
    }

    /// Where execve(2) writes the strings below `end`: the path, the arguments and the environment.
    pub fn strings<'a>(end: u64, strings: impl IntoIterator<Item = &'a [u8]>) -> AddressRange {
        let bytes = strings.into_iter().map(|string| string.len() as u64 + 1).sum();
        AddressRange::new(end.saturating_sub(8).saturating_sub(bytes), end)
    }
}

impl Exec {
    /// The program with its stack, without randomisation and without a vDSO.
    pub fn new(program: Image, interpreter: Option<Image>, stack: Stack) -> Exec {
        Exec {
            program,
            interpreter,
            stack,
            vdso: vec![],
            vdso_address: None,
            start_brk: None,
            mmap_base: None,
            page_zero: false,
        }
    }
}

impl Image {
    /// The size in bytes and the lowest address of all segments (`total_mapping_size`); `None` if
    /// there is no segment.
    fn span(&self, profile: &KernelProfile) -> Option<(u64, u64)> {
        let start = self.segments.iter().map(|s| floor(profile, s.vaddr)).min()?;
        let end = self.segments.iter().map(|s| s.vaddr.wrapping_add(s.memory_size)).max()?;
        Some((start, end.wrapping_sub(start)))
    }

    /// Rounds `address` down to the largest valid alignment of the segments (`maximum_alignment`).
    fn align(&self, profile: &KernelProfile, address: u64) -> u64 {
        let wanted = self.segments.iter().map(|segment| segment.align);
        match wanted.filter(|align| align.is_power_of_two()).max() {
            Some(align) => address & !(align.max(profile.page_size()) - 1),
            None => address,
        }
    }
}

/// The kernel versions in which execve changed. Releases that got a rule in 2025 as a fix follow
/// it too; 6.1 and 6.12 were checked for that.
struct Rules {
    /// 6.7: each segment of a program is mapped together with its zeroes.
    zeroes_by_segment: bool,
    /// 6.7: each segment of an interpreter is, too.
    interpreter_zeroes_by_segment: bool,
    /// 6.10: a program without an interpreter is aligned as its segments require.
    aligns_static: bool,
    /// 6.16: the heap never follows an `ET_DYN` program without an interpreter.
    moves_static_heap: bool,
    /// 6.12: page 0 is sealed.
    seals_page_zero: bool,
    /// 6.7: `PR_SET_MEMORY_MERGE` is inherited.
    keeps_memory_merge: bool,
    /// Up to 5.7: without `PT_GNU_STACK`, or with an executable stack, readable memory is
    /// executable.
    stack_implies_exec: bool,
}

impl Rules {
    fn of(profile: &KernelProfile) -> Rules {
        let version = (profile.version.major, profile.version.minor);
        let fixed = matches!(version, (6, 1 | 6 | 12));
        Rules {
            zeroes_by_segment: version >= (6, 7) || fixed,
            interpreter_zeroes_by_segment: version >= (6, 7),
            aligns_static: version >= (6, 10) || fixed,
            moves_static_heap: version >= (6, 16) || fixed,
            seals_page_zero: version >= (6, 12) && profile.word_size == WordSize::Bits64,
            keeps_memory_merge: version >= (6, 7),
            stack_implies_exec: version < (5, 8),
        }
    }
}

impl AddressSpace {
    /// Unmaps everything and maps a program. Settings of mlockall(2), `PR_SET_MM` and pkey_alloc(2)
    /// for the old address space are lost.
    ///
    /// ```
    /// use vmatlas_maps::Device;
    /// use vmatlas_space::{AddressSpace, Exec, File, Image, KernelProfile, LoadSegment, Prot, Stack};
    /// let profile = KernelProfile::of("6.18".parse()?);
    /// let end = profile.task_size;
    /// let strings = Stack::strings(end, [&b"/tmp/hello"[..], b"hello"]);
    /// let stack = Stack::new(&profile, strings, strings.start);
    /// let code = LoadSegment {
    ///     offset: 0,
    ///     vaddr: 0x40_0000,
    ///     file_size: 0x123,
    ///     memory_size: 0x123,
    ///     prot: Prot::READ | Prot::EXEC,
    ///     align: 0x1000,
    /// };
    /// let program = Image {
    ///     file: File::new(b"/tmp/hello", Device::new(8, 1), 42),
    ///     segments: vec![code],
    ///     bias: Some(0),
    ///     executable_stack: Some(false),
    /// };
    /// let mut space = AddressSpace::new(profile);
    /// space.exec(&Exec::new(program, None, stack))?;
    /// let rows = String::from_utf8(space.render())?;
    /// assert_eq!(
    ///     rows.lines().map(|row| &row[..22]).collect::<Vec<_>>(),
    ///     ["00400000-00401000 r-xp", "7ffffffde000-7ffffffff", "ffffffffff600000-fffff"],
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Not modelled: programs that are not ELF files, the old bottom-up layout
    /// (`ADDR_COMPAT_LAYOUT`; give the addresses then), file systems that align large mappings for
    /// huge pages, five levels of page tables, and kernels that seal their own mappings.
    ///
    /// # Errors
    /// The kernel detects these errors after it has dropped the old address space, and kills the
    /// process: nothing stays mapped.
    /// - EINVAL: a segment's offset does not match its address, its sizes are invalid, or the
    ///   interpreter has no segment.
    /// - ENOMEM: there is no room, or `max_map_count` is exceeded.
    /// - EPERM: a segment lies below `mmap_min_addr`.
    /// - EFAULT: the rest of a page that must be zeroed cannot be written.
    pub fn exec(&mut self, request: &Exec) -> Result<(), Errno> {
        let rules = Rules::of(&self.profile);
        self.exit();
        (self.start_brk, self.brk) = (0, 0);
        self.default_flags = VmaFlags::NONE;
        self.ksm_all &= rules.keeps_memory_merge;
        (self.pkeys, self.execute_only_pkey) = (1, None);
        let executable_stack = request.program.executable_stack;
        self.read_implies_exec = match self.profile.word_size {
            WordSize::Bits64 => rules.stack_implies_exec && executable_stack != Some(false),
            WordSize::Bits32 => {
                self.read_implies_exec
                    || executable_stack.is_none()
                    || (rules.stack_implies_exec && executable_stack == Some(true))
            }
        };
        self.mmap_base = request.mmap_base.unwrap_or_else(|| unrandomised_mmap_base(&self.profile));

        // The model knows every page that the kernel writes during execve.
        let faults = mem::replace(&mut self.faults, Faults::Reported);
        let result = self.load_all(request, &rules);
        self.faults = faults;
        match result {
            Ok(()) => self.assume_written(0, u64::MAX),
            Err(_) => self.exit(),
        }
        result
    }

    fn load_all(&mut self, request: &Exec, rules: &Rules) -> Result<(), Errno> {
        let Exec { program, interpreter, stack, .. } = request;
        self.map_stack(AddressRange::new(stack.start, stack.end))?;
        self.start_stack = stack.pointer;
        if program.executable_stack.unwrap_or(self.read_implies_exec) {
            let at = self.covering(stack.start).expect("it was mapped");
            self.vmas.change(at, |vma| vma.flags |= VmaFlags::EXEC);
        }

        let bias = self.load_program(program, interpreter.is_some(), rules)?;
        if let Some(interpreter) = interpreter {
            self.load_interpreter(interpreter, bias, rules)?;
        }
        self.map_vdso_of(request)?;

        let static_pie = interpreter.is_none() && program.bias != Some(0);
        let start_brk = request.start_brk.unwrap_or_else(|| {
            if static_pie && rules.moves_static_heap {
                return ceil(&self.profile, program_base(&self.profile));
            }
            let ends = program.segments.iter().map(|s| s.vaddr.wrapping_add(s.memory_size));
            ceil(&self.profile, ends.max().unwrap_or(0).wrapping_add(bias))
        });
        self.set_heap(AddressRange::new(start_brk, start_brk));
        if request.page_zero {
            self.map_page_zero(rules);
        }
        Ok(())
    }

    /// Maps the program's segments and returns the load bias.
    fn load_program(
        &mut self,
        image: &Image,
        interpreted: bool,
        rules: &Rules,
    ) -> Result<u64, Errno> {
        let profile = self.profile.clone();
        let Some((_, span)) = image.span(&profile) else { return Ok(image.bias.unwrap_or(0)) };
        let first = image.segments[0].vaddr;
        let bias = match image.bias {
            Some(bias) => bias,
            None if interpreted => {
                let place = image.align(&profile, program_base(&profile));
                floor(&profile, place.wrapping_sub(first))
            }
            None => {
                let place = self.free_place(0, span)?;
                let large =
                    |s: &LoadSegment| s.align.is_power_of_two() && s.align > profile.page_size();
                if rules.aligns_static && image.segments.iter().any(large) {
                    floor(&profile, image.align(&profile, place).wrapping_sub(first))
                } else {
                    place.wrapping_sub(floor(&profile, first))
                }
            }
        };
        let mut ends = Ends::default();
        for (number, segment) in image.segments.iter().enumerate() {
            if !rules.zeroes_by_segment {
                // Map the zeroes that end an earlier segment, unless a later one contains them.
                if ends.memory > ends.file {
                    self.map_zeroes(ends.file_at(bias), ends.memory_at(bias), ends.prot)?;
                    let _ = self.clear_rest(ends.file_at(bias));
                }
            }
            let whole = (number == 0 && image.bias != Some(0)).then_some(span);
            let address = bias.wrapping_add(segment.vaddr);
            self.load(&image.file, segment, address, whole, rules.zeroes_by_segment)?;
            if !possible(&profile, segment, segment.vaddr) {
                return Err(Errno::EINVAL);
            }
            ends.add(segment);
        }
        if !rules.zeroes_by_segment {
            self.map_zeroes(ends.file_at(bias), ends.memory_at(bias), ends.prot)?;
            if ends.file != ends.memory {
                self.clear_rest(ends.file_at(bias))?;
            }
        }
        Ok(bias)
    }

    fn load_interpreter(
        &mut self,
        image: &Image,
        program_bias: u64,
        rules: &Rules,
    ) -> Result<(), Errno> {
        let profile = self.profile.clone();
        let (_, span) = image.span(&profile).filter(|(_, span)| *span > 0).ok_or(Errno::EINVAL)?;
        let first = image.segments[0].vaddr;
        let bias = match image.bias {
            Some(bias) => bias,
            None if image.segments[0].file_size == 0 => {
                if program_bias == 0 {
                    0
                } else {
                    floor(&profile, first).wrapping_neg()
                }
            }
            None => {
                let hint = if program_bias == 0 { floor(&profile, first) } else { 0 };
                let place = self.unused(hint, ceil(&profile, span)).ok_or(Errno::ENOMEM)?;
                place.wrapping_sub(floor(&profile, first))
            }
        };
        let mut ends = Ends::default();
        for (number, segment) in image.segments.iter().enumerate() {
            let whole = (number == 0).then_some(span);
            let address = bias.wrapping_add(segment.vaddr);
            self.load(&image.file, segment, address, whole, rules.interpreter_zeroes_by_segment)?;
            if !possible(&profile, segment, address) {
                return Err(Errno::ENOMEM);
            }
            ends.add(segment);
        }
        if !rules.interpreter_zeroes_by_segment {
            self.clear_rest(ends.file_at(bias))?;
            self.map_zeroes(ends.file_at(bias), ends.memory_at(bias), ends.prot)?;
        }
        Ok(())
    }

    fn free_place(&self, hint: u64, length: u64) -> Result<u64, Errno> {
        if length > self.profile.task_size {
            return Err(Errno::ENOMEM);
        }
        self.unused(hint, ceil(&self.profile, length)).ok_or(Errno::ENOMEM)
    }

    /// Maps one segment, with its zeroes if they are made `by_segment`. The first segment of a
    /// file is first mapped with the span of the `whole` file.
    fn load(
        &mut self,
        file: &File,
        segment: &LoadSegment,
        address: u64,
        whole: Option<u64>,
        by_segment: bool,
    ) -> Result<(), Errno> {
        let profile = self.profile.clone();
        let before = segment.vaddr & (profile.page_size() - 1);
        let start = floor(&profile, address);
        // Older kernels map the page in which a segment without file bytes begins.
        let bytes = match segment.file_size {
            0 if by_segment => 0,
            size => size.checked_add(before).ok_or(Errno::EINVAL)?,
        };
        let size = profile.page_align(bytes).ok_or(Errno::EINVAL)?;
        if size > 0 {
            let length = ceil(&profile, whole.unwrap_or(size));
            let offset = segment.offset.wrapping_sub(before);
            if offset.checked_add(length).is_none_or(|end| end > i64::MAX as u64) {
                return Err(Errno::EINVAL);
            }
            let request = Mmap::anonymous(length, segment.prot).of_file(file, offset);
            self.mmap(&request.fixed(start))?;
            if length > size {
                let _ = self.munmap(AddressRange::new(start + size, start + length));
            }
        }
        if by_segment && segment.memory_size > segment.file_size {
            let in_memory = start.wrapping_add(before);
            let mut zero = in_memory;
            if segment.file_size > 0 {
                zero = in_memory.wrapping_add(segment.file_size);
                let cleared = self.clear_rest(zero);
                if segment.prot.contains(Prot::WRITE) {
                    cleared?;
                }
            } else {
                zero = floor(&profile, zero);
            }
            self.map_zeroes(zero, in_memory.wrapping_add(segment.memory_size), segment.prot)?;
        }
        Ok(())
    }

    /// Writes zeroes from `address` to the end of its page (`padzero`).
    fn clear_rest(&mut self, address: u64) -> Result<(), Errno> {
        if self.profile.is_aligned(address) {
            return Ok(());
        }
        self.write(CallRange { address, length: 1 }).map_err(|_| Errno::EFAULT)
    }

    /// Maps the pages that begin in `start..end` as zeroed memory (`vm_brk_flags`).
    fn map_zeroes(&mut self, start: u64, end: u64, prot: Prot) -> Result<(), Errno> {
        let profile = self.profile.clone();
        let (start, end) = (ceil(&profile, start), ceil(&profile, end));
        if start >= end {
            return Ok(());
        }
        if end > profile.task_size {
            return Err(Errno::ENOMEM);
        }
        if start < profile.mmap_min_addr {
            return Err(Errno::EPERM);
        }
        self.unmap(start, end)?;
        if self.vmas.len() > profile.max_map_count {
            return Err(Errno::ENOMEM);
        }
        let executable = self.read_implies_exec || prot.contains(Prot::EXEC);
        let flags = access(Prot::READ | Prot::WRITE) | VmaFlags::ACCOUNT;
        let joining =
            if profile.brk_joins_previous_only { Joining::ExpandOnly } else { Joining::Remapped };
        self.map_anonymous(start, end, flags.with_if(VmaFlags::EXEC, executable), joining);
        Ok(())
    }

    fn map_anonymous(&mut self, start: u64, end: u64, flags: VmaFlags, joining: Joining) {
        use VmaFlags as F;
        let flags = flags | F::MAYREAD | F::MAYWRITE | F::MAYEXEC | self.default_flags;
        let mut vma = Vma::untouched(start, end, flags, self.profile.page_shift);
        let mergeable = self.ksm_all && ksm_compatible(&vma);
        vma.flags = vma.flags.with_if(F::MERGEABLE, mergeable && self.profile.ksm_before_merge);
        self.insert_joined(vma, joining);
        let at = self.covering(start).expect("it was mapped");
        if mergeable && self.vmas.get(at).start == start {
            self.vmas.change(at, |vma| vma.flags |= F::MERGEABLE);
        }
    }

    fn map_vdso_of(&mut self, request: &Exec) -> Result<(), Errno> {
        let size = request.vdso.iter().fold(0, |sum: u64, (_, size)| sum.saturating_add(*size));
        let start = match request.vdso_address {
            Some(address) => address,
            None => self.free_place(0, size)?,
        };
        self.map_specials(start, &request.vdso)
    }

    fn map_page_zero(&mut self, rules: &Rules) {
        let size = self.profile.page_size();
        // The kernel ignores a failure.
        if self.unmap(0, size).is_ok() {
            self.map_anonymous(0, size, access(Prot::READ | Prot::EXEC), Joining::New);
            if rules.seals_page_zero {
                let _ = self.mseal(CallRange { address: 0, length: size });
            }
        }
    }
}

/// The ends of the segments mapped so far, as addresses of the file.
#[derive(Default)]
struct Ends {
    /// The end of the bytes from the file.
    file: u64,
    /// The end in memory.
    memory: u64,
    /// The protection of the segment that ends at `memory`.
    prot: Prot,
}

impl Ends {
    fn add(&mut self, segment: &LoadSegment) {
        self.file = self.file.max(segment.vaddr.wrapping_add(segment.file_size));
        let memory = segment.vaddr.wrapping_add(segment.memory_size);
        if memory > self.memory {
            self.memory = memory;
            self.prot = segment.prot;
        }
    }

    fn file_at(&self, bias: u64) -> u64 {
        self.file.wrapping_add(bias)
    }

    fn memory_at(&self, bias: u64) -> u64 {
        self.memory.wrapping_add(bias)
    }
}

/// Whether the sizes of a segment are valid; checked after it is mapped.
fn possible(profile: &KernelProfile, segment: &LoadSegment, address: u64) -> bool {
    address < profile.task_size
        && segment.file_size <= segment.memory_size
        && segment.memory_size <= profile.task_size - address
}

/// The base of position-independent programs with an interpreter (`ELF_ET_DYN_BASE`, x86 and ARM).
fn program_base(profile: &KernelProfile) -> u64 {
    match profile.word_size {
        WordSize::Bits64 => profile.task_size / 3 * 2,
        WordSize::Bits32 => 0x40_0000,
    }
}

/// The address below which the kernel places mappings (`mmap_base`, arch/x86/mm/mmap.c): the gap
/// for the stack is above it.
pub(super) fn unrandomised_mmap_base(profile: &KernelProfile) -> u64 {
    let guard = profile.stack_guard_gap << profile.page_shift;
    let gap = profile.stack_limit.checked_add(guard).unwrap_or(profile.stack_limit);
    let most = profile.task_size / 6 * 5;
    ceil(profile, profile.task_size - gap.max(128 << 20).min(most))
}

fn floor(profile: &KernelProfile, address: u64) -> u64 {
    address & !(profile.page_size() - 1)
}

/// Rounds up to a page as the kernel does; the sum wraps around.
fn ceil(profile: &KernelProfile, address: u64) -> u64 {
    floor(profile, address.wrapping_add(profile.page_size() - 1))
}
