//! Names of rows without a file, as far as the core proves them.

use super::{CoreDump, ReadAt, Segment};
use crate::crash::Machine;
use vmatlas_maps::uapi::auxvec::{AT_EXECFN, AT_RANDOM, AT_SYSINFO_EHDR};
use vmatlas_object::Memory as _;

/// The address of `[vsyscall]` in every process (arch/x86/include/uapi/asm/vsyscall.h).
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;
/// The address of `[vectors]`, the exception vectors of 32-bit Arm (arch/arm/kernel/process.c).
const VECTORS: u64 = 0xffff_0000;

/// Maximum number of data pages of a vDSO; every kernel has fewer.
const MAX_VVAR_PAGES: u64 = 16;

/// The names, by the start address of their row.
pub(super) fn of<S: ReadAt>(core: &CoreDump<S>) -> Vec<(u64, &'static [u8])> {
    let mut names: Vec<(u64, &'static [u8])> = Vec::new();
    let fixed = match core.machine {
        Machine::X86_64 => Some((VSYSCALL, &b"[vsyscall]"[..])),
        Machine::Arm => Some((VECTORS, &b"[vectors]"[..])),
        _ => None,
    };
    names.extend(fixed);
    // execve(2) writes these strings at the top of the stack.
    let strings = [AT_EXECFN, AT_RANDOM].into_iter().find_map(|kind| core.auxv.get(kind));
    if let Some((_, stack)) = strings.and_then(|address| core.segment_at(address)) {
        names.push((stack.range.start, b"[stack]"));
    }
    names.extend(core.heap_start().map(|start| (start, &b"[heap]"[..])));
    if let Some(vdso) = core.auxv.get(AT_SYSINFO_EHDR)
        && let Some((index, segment)) = core.segment_at(vdso)
        && segment.range.start == vdso
    {
        names.push((vdso, b"[vdso]"));
        names.extend(vvar(core, index));
    }
    names
}

/// The data pages directly below the vDSO. They belong to the kernel, so every core dumps them, and
/// except on Arm their contents are zero.
fn vvar<S: ReadAt>(core: &CoreDump<S>, vdso: usize) -> Vec<(u64, &'static [u8])> {
    let is_vvar = |segment: &&Segment| {
        let size = segment.range.size();
        segment.flags == Segment::READ
            && segment.file_size == size
            && size <= MAX_VVAR_PAGES.saturating_mul(core.page_size())
            && (core.machine == Machine::Arm || is_empty(core, segment))
    };
    let mut top = core.segments.get(vdso).map(|segment| segment.range.start);
    let below = core.segments.get(..vdso).unwrap_or_default().iter().rev();
    let rows: Vec<&Segment> = below
        .take_while(|segment| {
            let adjoins = Some(segment.range.end) == top;
            top = Some(segment.range.start);
            adjoins && !core.has_file(segment.range.start) && is_vvar(segment)
        })
        .take(2)
        .collect();
    match rows[..] {
        // Since 6.13 the clock pages are a separate row. The kernel would have merged two rows of
        // other memory.
        [clocks, vvar] => {
            vec![(vvar.range.start, b"[vvar]"), (clocks.range.start, b"[vvar_vclock]")]
        }
        [vvar] => {
            let mut names: Vec<(u64, &'static [u8])> = vec![(vvar.range.start, b"[vvar]")];
            names.extend(sigpage(core, vvar.range.start));
            names
        }
        _ => Vec::new(),
    }
}

/// `[sigpage]`, the code to which signal handlers of 32-bit Arm return, is directly below the data
/// pages (`arch_setup_additional_pages` in arch/arm/kernel/process.c).
fn sigpage<S: ReadAt>(core: &CoreDump<S>, vvar: u64) -> Option<(u64, &'static [u8])> {
    let (_, segment) = core.segment_at(vvar.checked_sub(1)?)?;
    let is_page = segment.range.size() == core.page_size();
    let code = segment.flags == Segment::READ | Segment::EXECUTE;
    let found = core.machine == Machine::Arm && is_page && code;
    (found && !core.has_file(segment.range.start)).then_some((segment.range.start, b"[sigpage]"))
}

fn is_empty<S: ReadAt>(core: &CoreDump<S>, segment: &Segment) -> bool {
    let mut bytes = vec![0; usize::try_from(segment.range.size()).unwrap_or(0)];
    let count = core.read(segment.range.start, &mut bytes);
    bytes.iter().take(count).all(|&byte| byte == 0)
}
