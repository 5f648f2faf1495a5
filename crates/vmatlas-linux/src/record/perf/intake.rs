//! Passes records from the rings to the merger.

use super::event::StackCopy;
use super::open::{Opened, Role, Source};
use super::order::{Entry, Merger, What};
use super::parse::{self, Parsed, Record, Said, Sample};
use super::rings::Which;
use super::tasks::Owner;
use super::tracepoints::Purpose;
use super::{Perf, clock};
use vmatlas_maps::uapi::sched::CLONE_VM;

/// Bytes of a stack ring that are read at a time.
pub(super) const PORTION: usize = 16 << 20;

impl Perf {
    /// Reads the rings. Returns the time up to which all written records have been read.
    pub(super) fn read(&mut self) -> u64 {
        let mut complete = clock();
        self.more = false;
        let Perf { merger, opened, calls, stacks, .. } = self;
        let calls = calls.take();
        let mut rest = calls.as_slice();
        while let Some((record, next)) = parse::split_record(rest) {
            take_in(record, Which::Calls, opened, merger);
            rest = next;
        }
        for held in stacks {
            let mut latest = 0;
            let all = held.ring.take(PORTION, |bytes| {
                latest = take_in(bytes, Which::Stacks, opened, merger).max(latest);
            });
            if !all {
                self.more = true;
                complete = complete.min(latest);
            }
        }
        complete
    }
}

/// Parses a record. Returns its time.
pub(super) fn take_in(bytes: &[u8], which: Which, opened: &Opened, merger: &mut Merger) -> u64 {
    let layout = |id| opened.sources.get(&id).map(|source: &Source| source.layout);
    match parse::parse(bytes, layout) {
        Parsed::Record(record) => {
            let time = record.who.time;
            take_in_record(record, which, opened, merger);
            time
        }
        Parsed::Other => 0,
        Parsed::Broken => {
            merger.counts.unread += 1;
            0
        }
    }
}

fn take_in_record(
    Record { who, said }: Record,
    which: Which,
    opened: &Opened,
    merger: &mut Merger,
) {
    if let Said::Lost(count) = said {
        let what = What::Lost { which, count };
        return merger.push(Entry { who, owner: Owner::Processors, what });
    }
    let Some(Source { role, owner, ring, .. }) = opened.sources.get(&who.id).copied() else {
        return;
    };
    let what = match said {
        Said::Sample(mut sample) => {
            if let (Role::Call(_), Which::Stacks) = (role, ring) {
                if let (Some(registers), Some(stack)) = (sample.registers, sample.stack) {
                    merger.stacks.push(&who, owner, registers, stack);
                }
                return;
            }
            sampled(role, &mut sample)
        }
        Said::Fork { pid, tid, parent_tid, .. } => Some(What::Fork { pid, tid, parent_tid }),
        Said::Exit { pid, tid } => Some(What::Exit { pid, tid }),
        Said::Comm { pid, tid, exec, name } => Some(What::Comm { pid, tid, exec, name }),
        Said::Mmap(mmap) => Some(What::Mmap(mmap)),
        Said::Lost(_) => None,
    };
    if let Some(what) = what {
        merger.push(Entry { who, owner, what });
    }
}

fn sampled(role: Role, sample: &mut Sample) -> Option<What> {
    match role {
        Role::Call(point) => {
            let registers = sample.registers?;
            let args = registers.arguments();
            let shares = |flags: u64| flags & CLONE_VM != 0;
            match point.purpose {
                Purpose::Clone => return Some(What::Clone(Some(shares(args[0])))),
                Purpose::Vfork => return Some(What::Clone(Some(true))),
                Purpose::Fork => return Some(What::Clone(Some(false))),
                Purpose::Clone3 => {
                    let copy = StackCopy {
                        sp: registers.for_unwinding().sp,
                        bytes: sample.stack.take().unwrap_or_default(),
                    };
                    // The flags are the first field of the structure that the argument points to.
                    return Some(What::Clone(copy.word(args[0]).map(shares)));
                }
                Purpose::Call | Purpose::Ioctl => {}
            }
            let (kind, args) = point.wanted(args)?;
            let result = (!point.enters()).then(|| registers.result());
            Some(What::Call { kind, args, result, registers })
        }
        Role::Fault(format) => {
            /// `X86_PF_WRITE` of the error code (arch/x86/include/asm/trap_pf.h).
            const WRITE: u64 = 1 << 1;
            let (address, write) = match format {
                None => (sample.address?, false),
                Some(format) => {
                    let address = word(sample, format.address)?;
                    (address, word(sample, format.error_code)? & WRITE != 0)
                }
            };
            // The kernel's faults on its own memory are not of interest.
            (address >> 63 == 0).then(|| What::Fault {
                address,
                write,
                registers: sample.registers,
                stack: sample.stack.take(),
            })
        }
        Role::TreeWrite(format) => {
            let (start, last) = (word(sample, format.index)?, word(sample, format.last)?);
            Some(What::TreeWrite { start, last, stored: word(sample, format.value)? != 0 })
        }
        Role::Tasks => None,
    }
}

/// A word of the tracepoint's own data.
fn word(sample: &Sample, at: usize) -> Option<u64> {
    let bytes = sample.raw.as_deref()?.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}
