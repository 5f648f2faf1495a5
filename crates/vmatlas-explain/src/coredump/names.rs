//! What rows without a file are, where the core proves it.

use super::{CoreDump, ReadAt, Segment};
use crate::crash::Machine;
use vmatlas_maps::uapi::auxvec::{AT_EXECFN, AT_RANDOM, AT_SYSINFO_EHDR};
use vmatlas_object::Memory as _;

/// The same in every process (arch/x86/include/uapi/asm/vsyscall.h).
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;
/// The page of exception vectors of 32-bit Arm (arch/arm/kernel/process.c).
const VECTORS: u64 = 0xffff_0000;

/// More pages of data than the kernel gives any vDSO.
const MAX_VVAR_PAGES: u64 = 16;

/// The names, by the first address of a row.
pub(super) fn of<S: ReadAt>(core: &CoreDump<S>) -> Vec<(u64, &'static [u8])> {
    let mut names: Vec<(u64, &'static [u8])> = Vec::new();
    let fixed = match core.machine {
        Machine::X86_64 => Some((VSYSCALL, &b"[vsyscall]"[..])),
        Machine::Arm => Some((VECTORS, &b"[vectors]"[..])),
        _ => None,
    };
    names.extend(fixed);
    // The strings that execve(2) puts at the top of the stack.
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

/// The data of the vDSO lie directly below it. They are the kernel's pages, not the process's, so
/// that a core has them, and empty but on Arm.
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
        // Since 6.13 the pages of clocks are a row of their own; rows of anything else would have
        // been joined.
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

/// The code that 32-bit Arm returns from signals by lies below those (`arch_setup_additional_pages`
/// in arch/arm/kernel/process.c).
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
