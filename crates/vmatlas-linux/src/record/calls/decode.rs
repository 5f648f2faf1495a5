//! Decodes the arguments of a call.

use crate::record::arch::pointer_size;
use vmatlas_maps::uapi::prctl::{PR_SET_MM, PR_SET_MM_MAP, PRCTL_MM_MAP_START_BRK};
use vmatlas_maps::uapi::shm::{IPC_CALL_MASK, IPC_SHMAT};
use vmatlas_recording::CallKind;
use vmatlas_recording::call::{Abi, Form, Meaning, SystemCall};

/// A call that can change an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) kind: CallKind,
    /// As in [`Call::args`](vmatlas_recording::Call::args).
    pub(crate) args: [u64; 6],
    /// The memory to which a successful call writes its relevant output.
    pub(crate) left: Option<Left>,
}

/// Output that a call writes to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) address: u64,
    /// Size in bytes.
    pub(crate) size: u8,
    pub(crate) means: LeftMeaning,
}

impl Left {
    /// Reads the output after the call has returned, into the arguments or the result.
    pub(crate) fn take(
        self,
        args: &mut [u64; 6],
        result: &mut i64,
        mut read: impl FnMut(u64, &mut [u8]) -> bool,
    ) {
        if *result < 0 {
            return;
        }
        let mut word = [0; 8];
        if !word.get_mut(..usize::from(self.size)).is_some_and(|word| read(self.address, word)) {
            word = [0; 8];
        }
        let word = u64::from_le_bytes(word);
        match self.means {
            LeftMeaning::Result => *result = word as i64,
            LeftMeaning::Argument(index) => {
                if let Some(arg) = args.get_mut(index) {
                    *arg = word;
                }
            }
        }
    }
}

/// The meaning of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftMeaning {
    /// The result: the address at which shmat by ipc(2) attached.
    Result,
    /// The argument with this index: the context of io_setup(2), which is the address of its ring.
    Argument(usize),
}

/// Decodes a call of the table with these arguments. `None` if it cannot change an address space.
/// `read` reads memory of the task and returns whether it succeeded.
pub(crate) fn decode(
    call: &SystemCall,
    abi: Abi,
    args: [u64; 6],
    mut read: impl FnMut(u64, &mut [u8]) -> bool,
) -> Option<Decoded> {
    let (kind, mut args, left) = arrange(call, abi, args, &mut read)?;
    let left = resolve(kind, abi, &mut args, &mut read).or(left);
    Some(Decoded { kind, args, left })
}

/// The kind of a call, and its arguments in that kind's order. Memory is read only if it contains
/// the arguments themselves.
pub(crate) fn arrange(
    call: &SystemCall,
    abi: Abi,
    args: [u64; 6],
    mut read: impl FnMut(u64, &mut [u8]) -> bool,
) -> Option<(CallKind, [u64; 6], Option<Left>)> {
    let Meaning::Change(kind) = call.meaning else { return None };
    let mut args = args;
    if abi == Abi::I386 {
        args = args.map(|arg| arg & 0xffff_ffff);
    }
    let mut left = None;
    let mut count = kind.arguments();
    match call.form {
        Form::First(known) => count = usize::from(known),
        Form::InMemory => {
            let mut words = [0; 24];
            // The kernel fails on unreadable memory as well.
            if read(args[0], &mut words) {
                let (words, _) = words.as_chunks::<4>();
                for (arg, word) in args.iter_mut().zip(words) {
                    *arg = u64::from(u32::from_le_bytes(*word));
                }
            } else {
                args = [0; 6];
            }
        }
        Form::Pages => args[5] <<= 12,
        Form::Ipc => {
            let [number, first, second, third, pointer, _] = args;
            if number as u32 & IPC_CALL_MASK == IPC_SHMAT {
                left = Some(Left { address: third, size: 4, means: LeftMeaning::Result });
                args = [first, pointer, second, 0, 0, 0];
            } else {
                args = [pointer, 0, 0, 0, 0, 0];
            }
        }
        // The descriptor, the request, and the address of the range.
        Form::Ioctl => count = 3,
        _ => {}
    }
    for arg in args.iter_mut().skip(count) {
        *arg = 0;
    }
    Some((kind, args, left))
}

/// Replaces pointers by the data they point to, as in
/// [`Call::args`](vmatlas_recording::Call::args). Returns where the call writes its output.
pub(crate) fn resolve(
    kind: CallKind,
    abi: Abi,
    args: &mut [u64; 6],
    mut read: impl FnMut(u64, &mut [u8]) -> bool,
) -> Option<Left> {
    match kind {
        CallKind::UffdRegister | CallKind::UffdUnregister => {
            let [descriptor, _, address, ..] = *args;
            let mut range = [0; 24];
            let size = if kind == CallKind::UffdRegister { 24 } else { 16 };
            if !range.get_mut(..size).is_some_and(|range| read(address, range)) {
                range = [0; 24];
            }
            let (words, _) = range.as_chunks::<8>();
            *args = [descriptor, 0, 0, 0, 0, 0];
            for (arg, word) in args.iter_mut().skip(1).zip(words) {
                *arg = u64::from_le_bytes(*word);
            }
        }
        CallKind::Mbind => args[3] = node_mask(args[3], args[4], &mut read),
        CallKind::Prctl if args[0] as u32 == PR_SET_MM as u32 && args[1] == PR_SET_MM_MAP => {
            let mut words = [0; 24];
            let address = args[2].wrapping_add(PRCTL_MM_MAP_START_BRK);
            // The kernel fails on unreadable memory as well.
            if !read(address, &mut words) {
                words = [0; 24];
            }
            let (words, _) = words.as_chunks::<8>();
            for (arg, word) in args.iter_mut().skip(2).zip(words) {
                *arg = u64::from_le_bytes(*word);
            }
        }
        CallKind::IoSetup => {
            let size = pointer_size(abi) as u8; // which fits
            return Some(Left { address: args[1], size, means: LeftMeaning::Argument(1) });
        }
        _ => {}
    }
    None
}

/// The first 64 nodes of a mask. The kernel uses one bit less than `max_node`.
fn node_mask(address: u64, max_node: u64, read: &mut impl FnMut(u64, &mut [u8]) -> bool) -> u64 {
    let bits = max_node.saturating_sub(1).min(64);
    let size = usize::try_from(bits.div_ceil(8)).unwrap_or(0);
    let mut mask = [0; 8];
    if address == 0 || size == 0 || !mask.get_mut(..size).is_some_and(|mask| read(address, mask)) {
        return 0;
    }
    u64::from_le_bytes(mask) & (u64::MAX >> (64 - bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::calls::find;

    const MEMORY: u64 = 0x1000;

    /// Decodes a call with `memory` at address [`MEMORY`].
    fn check(abi: Abi, number: u64, args: [u64; 6], memory: &[u8], expect: Option<Decoded>) {
        let read = |address: u64, to: &mut [u8]| {
            let start = address.checked_sub(MEMORY).and_then(|start| usize::try_from(start).ok());
            let bytes = start.and_then(|start| memory.get(start..start.checked_add(to.len())?));
            bytes.is_some_and(|bytes| {
                to.copy_from_slice(bytes);
                true
            })
        };
        let found = find(abi, number, &args);
        let decoded = found.and_then(|call| decode(call, abi, args, read));
        assert_eq!(decoded, expect, "{abi:?} {number} {args:x?}");
    }

    fn plain(kind: CallKind, args: [u64; 6]) -> Option<Decoded> {
        Some(Decoded { kind, args, left: None })
    }

    fn words(words: &[u64], size: usize) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()[..size].to_vec()).collect()
    }

    #[test]
    fn arguments_as_they_stand() {
        let args = [1, 2, 3, 4, 5, 6];
        check(Abi::X86_64, 9, args, &[], plain(CallKind::Mmap, args));
        check(Abi::X32, 0x4000_0009, args, &[], plain(CallKind::Mmap, args));
        check(Abi::X86_64, 11, args, &[], plain(CallKind::Munmap, [1, 2, 0, 0, 0, 0]));
        check(Abi::X86_64, 1, args, &[], None);
        check(Abi::X86_64, u64::MAX, args, &[], None);
        // mlock has no flags.
        check(Abi::X86_64, 149, args, &[], plain(CallKind::Mlock, [1, 2, 0, 0, 0, 0]));
        check(Abi::X86_64, 325, args, &[], plain(CallKind::Mlock, [1, 2, 3, 0, 0, 0]));
        check(Abi::I386, 150, args, &[], plain(CallKind::Mlock, [1, 2, 0, 0, 0, 0]));
        check(Abi::I386, 151, args, &[], plain(CallKind::Munlock, [1, 2, 0, 0, 0, 0]));
    }

    #[test]
    fn arguments_that_decide() {
        let advice = |advice| [0x1000, 0x1000, advice, 0, 0, 0];
        check(Abi::X86_64, 28, advice(4), &[], None);
        check(Abi::X86_64, 28, advice(8), &[], None);
        check(Abi::X86_64, 28, advice(23), &[], None);
        check(Abi::X86_64, 28, advice(14), &[], plain(CallKind::Madvise, advice(14)));
        let prctl = [0x5356_4d41, 0, 0x1000, 0x1000, 0x2000, 0];
        check(Abi::X86_64, 157, prctl, &[], plain(CallKind::Prctl, prctl));
        check(Abi::X86_64, 157, [22, 2, 0, 0, 0, 0], &[], None);
        check(Abi::X86_64, 157, [15, 2, 0, 0, 0, 0], &[], None);
        check(Abi::X86_64, 135, [0xffff_ffff, 0, 0, 0, 0, 0], &[], None);
        check(Abi::X86_64, 158, [0x1002, 0, 0, 0, 0, 0], &[], None);
    }

    #[test]
    fn arguments_in_memory() {
        let old = words(&[0, 0x5000, 3, 0x22, 0xffff_ffff, 0x3000], 4);
        let mapped = plain(CallKind::Mmap, [0, 0x5000, 3, 0x22, 0xffff_ffff, 0x3000]);
        check(Abi::I386, 90, [MEMORY, 0, 0, 0, 0, 0], &old, mapped);
        check(Abi::I386, 90, [0, 0, 0, 0, 0, 0], &old, plain(CallKind::Mmap, [0; 6]));
        let mapped = plain(CallKind::Mmap, [0, 0x5000, 3, 0x22, 4, 0x0fff_ffff_f000]);
        check(Abi::I386, 192, [0, 0x5000, 3, 0x22, 4, u64::MAX], &[], mapped);

        let range = words(&[0x7000, 0x2000, 3, 0], 8);
        let args = [5, 0xc020_aa00, MEMORY, 0, 0, 0];
        let registered = plain(CallKind::UffdRegister, [5, 0x7000, 0x2000, 3, 0, 0]);
        check(Abi::X86_64, 16, args, &range, registered);
        let args = [5, 0x8010_aa01, MEMORY, 0, 0, 0];
        let unregistered = plain(CallKind::UffdUnregister, [5, 0x7000, 0x2000, 0, 0, 0]);
        check(Abi::X86_64, 16, args, &range[..16], unregistered);
        check(Abi::X32, 0x4000_0202, args, &range, unregistered);
        check(Abi::X86_64, 16, [1, 0x5401, MEMORY, 0, 0, 0], &range, None);
    }

    #[test]
    fn where_heap_and_stack_are_said_to_be() {
        let map = words(&[1, 2, 3, 4, 0x1000, 0x2000, 0x9000, 8, 9, 10, 11, 0, 0], 8);
        let args = [35, 14, MEMORY, 104, 0, 0];
        let moved = plain(CallKind::Prctl, [35, 14, 0x1000, 0x2000, 0x9000, 0]);
        check(Abi::X86_64, 157, args, &map, moved);
        check(Abi::I386, 172, args, &map, moved);
        check(Abi::X86_64, 157, args, &[], plain(CallKind::Prctl, [35, 14, 0, 0, 0, 0]));
        let start = [35, 6, 0x5000, 0, 0, 0];
        check(Abi::X86_64, 157, start, &map, plain(CallKind::Prctl, start));
    }

    #[test]
    fn node_masks() {
        let mask = words(&[0b1101], 8);
        let bound = |mask, max| plain(CallKind::Mbind, [0x7000, 0x1000, 2, mask, max, 0]);
        let args = |max| [0x7000, 0x1000, 2, MEMORY, max, 0];
        check(Abi::X86_64, 237, args(64), &mask, bound(0b1101, 64));
        check(Abi::X86_64, 237, args(1024), &mask, bound(0b1101, 1024));
        check(Abi::X86_64, 237, args(3), &mask, bound(0b01, 3));
        check(Abi::X86_64, 237, args(4), &mask[..1], bound(0b101, 4));
        check(Abi::X86_64, 237, args(1), &mask, bound(0, 1));
        check(Abi::X86_64, 237, args(0), &mask, bound(0, 0));
    }

    #[test]
    fn what_is_left_in_memory() {
        let args = [0x1_0015, 7, 0o10000, MEMORY, 0x6000, 0];
        let left = Some(Left { address: MEMORY, size: 4, means: LeftMeaning::Result });
        let args_of = [7, 0x6000, 0o10000, 0, 0, 0];
        let attached = Some(Decoded { kind: CallKind::Shmat, args: args_of, left });
        check(Abi::I386, 117, args, &[], attached);
        let args = [22, 0, 0, 0, 0x6000, 0];
        check(Abi::I386, 117, args, &[], plain(CallKind::Shmdt, [0x6000, 0, 0, 0, 0, 0]));
        check(Abi::I386, 117, [2, 0, 0, 0, 0, 0], &[], None);
        let left = Some(Left { address: MEMORY, size: 8, means: LeftMeaning::Argument(1) });
        let args = [128, MEMORY, 0, 0, 0, 0];
        check(Abi::X86_64, 206, args, &[], Some(Decoded { kind: CallKind::IoSetup, args, left }));
    }
}
