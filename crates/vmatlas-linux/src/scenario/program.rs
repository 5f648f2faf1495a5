//! Compiled scenarios: system calls whose arguments are known except for addresses and for the
//! descriptors that earlier calls return.

use vmatlas_space::scenario::Region;

/// The step number of operations before the first step.
pub(crate) const BEFORE: u32 = u32::MAX;

/// A compiled scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) region: Region,
    pub(crate) ops: Vec<Op>,
    /// NUL-terminated strings for calls, and masks.
    pub(crate) bytes: Vec<u8>,
    /// The number of values it keeps: descriptors, segments and keys.
    pub(crate) slots: u32,
}

/// An operation of one of the scenario's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    /// The process, numbered in fork order.
    pub(crate) who: u32,
    /// Its step. After a failure, the other operations of the step are skipped.
    pub(crate) step: u32,
    pub(crate) action: Action,
}

/// The action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A system call, and the slot for its result.
    Call { number: u64, arguments: [Argument; 6], result: Option<u32> },
    /// ioctl(2) with a structure of these words.
    Ioctl { fd: u32, request: u64, words: [Argument; 4] },
    /// close(2), which empties the slot.
    Close { fd: u32 },
    /// userfaultfd(2).
    Uffd { result: u32 },
    /// Moves the break by this many bytes.
    Brk { by: i64 },
    /// Unmaps the process's own `[vdso]` and maps another by arch_prctl(2).
    Vdso { at: i64, option: u64 },
    /// Loads or stores one byte of each page.
    Touch { at: i64, pages: u64, store: bool },
    /// Forks the process with this number.
    Fork { child: u32 },
    /// Logs the rows of the region.
    Rows,
}

/// An argument of a system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Argument {
    #[default]
    Zero,
    Value(u64),
    /// An address, in bytes from the region's base.
    Address(i64),
    /// The value in the slot; -1 if it is empty.
    Slot(u32),
    /// The address of `bytes` at this offset.
    Bytes(u32),
}

/// Words of an encoded operation and of the header.
const OP_WORDS: usize = 16;
const HEADER_WORDS: usize = 4;
pub(crate) const HEADER_BYTES: usize = 8 * HEADER_WORDS;
/// Encodes a missing slot.
const NO_SLOT: u64 = u64::MAX;
const REGIONS: [Region; 3] = [Region::Plain, Region::Heap, Region::Stack];

impl Program {
    /// Encodes the program for the process that runs it, which is the same executable.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let region = REGIONS.iter().position(|region| *region == self.region).unwrap_or_default();
        let header = [region, self.ops.len(), self.bytes.len(), self.slots as usize];
        let words = header.into_iter().map(|number| number as u64);
        let words = words.chain(self.ops.iter().flat_map(Op::encode));
        let mut bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
        bytes.extend_from_slice(&self.bytes);
        bytes
    }

    /// The number of bytes that follow a header.
    pub(crate) fn size(header: &[u8; HEADER_BYTES]) -> usize {
        let [_, ops, bytes, _] = words(header);
        (ops as usize).saturating_mul(8 * OP_WORDS).saturating_add(bytes as usize)
    }

    /// Decodes a program from its header and the bytes that follow it.
    pub(crate) fn decode(header: &[u8; HEADER_BYTES], rest: &[u8]) -> Option<Program> {
        let [region, ops, _, slots] = words(header);
        let (code, bytes) = rest.split_at_checked((ops as usize).checked_mul(8 * OP_WORDS)?)?;
        let ops = code.chunks_exact(8 * OP_WORDS).map(|op| Op::decode(words(op)));
        Some(Program {
            region: *REGIONS.get(region as usize)?,
            ops: ops.collect::<Option<_>>()?,
            bytes: bytes.to_vec(),
            slots: slots as u32,
        })
    }
}

impl Op {
    fn encode(&self) -> [u64; OP_WORDS] {
        let mut words = [0; OP_WORDS];
        let (front, back) = words.split_at_mut(4);
        let mut arguments = |arguments: &[Argument]| {
            for (words, argument) in back.chunks_exact_mut(2).zip(arguments) {
                words.copy_from_slice(&argument.encode());
            }
        };
        let [tag, a, b] = match self.action {
            Action::Call { number, arguments: given, result } => {
                arguments(&given);
                [0, number, result.map_or(NO_SLOT, u64::from)]
            }
            Action::Ioctl { fd, request, words } => {
                arguments(&words);
                [1, u64::from(fd), request]
            }
            Action::Close { fd } => [2, u64::from(fd), 0],
            Action::Uffd { result } => [3, u64::from(result), 0],
            Action::Brk { by } => [4, by as u64, 0],
            Action::Touch { at, pages, store } => {
                arguments(&[Argument::Value(pages)]);
                [5, at as u64, u64::from(store)]
            }
            Action::Fork { child } => [6, u64::from(child), 0],
            Action::Rows => [7, 0, 0],
            Action::Vdso { at, option } => [8, at as u64, option],
        };
        let who_and_step = u64::from(self.who) << 32 | u64::from(self.step);
        front.copy_from_slice(&[who_and_step, tag, a, b]);
        words
    }

    fn decode(words: [u64; OP_WORDS]) -> Option<Op> {
        let [who_and_step, tag, a, b, ..] = words;
        let mut arguments = [Argument::Zero; 6];
        for (argument, words) in arguments.iter_mut().zip(words[4..].as_chunks().0) {
            *argument = Argument::decode(*words)?;
        }
        let action = match tag {
            0 => Action::Call { number: a, arguments, result: (b != NO_SLOT).then_some(b as u32) },
            1 => {
                let [first, second, third, fourth, ..] = arguments;
                let words = [first, second, third, fourth];
                Action::Ioctl { fd: a as u32, request: b, words }
            }
            2 => Action::Close { fd: a as u32 },
            3 => Action::Uffd { result: a as u32 },
            4 => Action::Brk { by: a as i64 },
            5 => Action::Touch { at: a as i64, pages: words[5], store: b != 0 },
            6 => Action::Fork { child: a as u32 },
            7 => Action::Rows,
            8 => Action::Vdso { at: a as i64, option: b },
            _ => return None,
        };
        Some(Op { who: (who_and_step >> 32) as u32, step: who_and_step as u32, action })
    }
}

impl Argument {
    fn encode(self) -> [u64; 2] {
        match self {
            Argument::Zero => [0, 0],
            Argument::Value(value) => [1, value],
            Argument::Address(bytes) => [2, bytes as u64],
            Argument::Slot(slot) => [3, u64::from(slot)],
            Argument::Bytes(at) => [4, u64::from(at)],
        }
    }

    fn decode([tag, value]: [u64; 2]) -> Option<Argument> {
        Some(match tag {
            0 => Argument::Zero,
            1 => Argument::Value(value),
            2 => Argument::Address(value as i64),
            3 => Argument::Slot(value as u32),
            4 => Argument::Bytes(value as u32),
            _ => return None,
        })
    }
}

/// The first `N` words of `bytes`, padded with zeros.
pub(super) fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_program_is_decoded_as_it_was() {
        use Argument::{Address, Bytes, Slot, Value, Zero};
        let actions = [
            Action::Call {
                number: 9,
                arguments: [Address(-4096), Value(u64::MAX), Slot(7), Bytes(3), Zero, Value(1)],
                result: Some(2),
            },
            Action::Call { number: 10, arguments: [Zero; 6], result: None },
            Action::Ioctl { fd: 1, request: 5, words: [Address(1), Value(2), Zero, Slot(9)] },
            Action::Close { fd: 4 },
            Action::Uffd { result: 5 },
            Action::Brk { by: -8192 },
            Action::Touch { at: -1, pages: 8, store: true },
            Action::Fork { child: 1 },
            Action::Rows,
            Action::Vdso { at: -8192, option: 0x2003 },
        ];
        let op = |(step, action)| Op { who: 3, step, action };
        let program = Program {
            region: Region::Stack,
            ops: (0..).zip(actions).map(op).collect(),
            bytes: b"name\0".to_vec(),
            slots: 10,
        };
        let bytes = program.encode();
        let (header, rest) = bytes.split_first_chunk().unwrap();
        assert_eq!(Program::size(header), rest.len());
        assert_eq!(Program::decode(header, rest), Some(program));
    }
}
