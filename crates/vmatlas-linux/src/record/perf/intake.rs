//! From the rings to the merger.

use super::event::StackCopy;
use super::open::{Role, Source};
use super::order::{Entry, What};
use super::parse::{self, Record, Said, Sample};
use super::rings::Which;
use super::tasks::Owner;
use super::tracepoints::{self, Purpose};
use super::{Perf, clock};

/// How much of a ring of stacks is read before the rings of calls are looked at again: they fill
/// meanwhile.
const PORTION: usize = 8 << 20;

/// `CLONE_VM`.
const CLONE_VM: u64 = 0x100;

impl Perf {
    /// Reads what is in the rings. Returns up to which time all is read that has been written.
    pub(super) fn read(&mut self) -> u64 {
        let mut complete = clock();
        self.more = false;
        for which in [Which::Calls, Which::Stacks] {
            for index in 0..self.processors.len() {
                self.bytes.clear();
                let held = self.processors[index].held().find(|held| held.which == which);
                let Some(held) = held else { continue };
                let all = held.ring.take(PORTION, &mut self.bytes);
                let latest = self.take_in(which);
                if !all {
                    self.more = true;
                    complete = complete.min(latest);
                }
            }
        }
        complete
    }

    /// Takes in the records of one ring. Returns the latest time in them.
    fn take_in(&mut self, which: Which) -> u64 {
        let Perf { merger, opened, bytes, .. } = self;
        let mut latest = 0;
        let mut unread = 0;
        let layout = |id| opened.sources.get(&id).map(|source| source.layout);
        parse::records(bytes, layout, &mut unread, |Record { who, said }| {
            latest = latest.max(who.time);
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
                            merger.push_stack(&who, owner, registers, stack);
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
        });
        merger.counts.unread += unread;
        latest
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
                    // Its flags are the first that its argument points to.
                    return Some(What::Clone(copy.word(args[0]).map(shares)));
                }
                Purpose::Call(_) | Purpose::Ioctl => {}
            }
            let (kind, args) = tracepoints::wanted(point.purpose, point.call, args)?;
            let result = (!point.enters()).then(|| registers.result());
            Some(What::Call { kind, args, result, registers })
        }
        Role::Fault => Some(What::Fault {
            address: sample.address?,
            registers: sample.registers,
            stack: sample.stack.take(),
        }),
        Role::TreeWrite(format) => {
            let raw = sample.raw.as_deref()?;
            let word = |at: usize| {
                let bytes = raw.get(at..at.checked_add(8)?)?;
                Some(u64::from_ne_bytes(bytes.try_into().ok()?))
            };
            let (start, last) = (word(format.index)?, word(format.last)?);
            Some(What::TreeWrite { start, last, stored: word(format.value)? != 0 })
        }
        Role::Tasks => None,
    }
}
