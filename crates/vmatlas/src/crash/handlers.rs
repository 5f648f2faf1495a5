//! Signal handlers whose frames are on a stack: those that run, and frames that may be left over.

use vmatlas_explain::coredump::{SignalFrame, signal_frames};
use vmatlas_explain::crash::{Crash, Machine};
use vmatlas_linux::postmortem::{Frame, How};
use vmatlas_maps::Maps;
use vmatlas_object::Memory;

/// The most frames to follow by frame pointers.
const MAX_STEPS: usize = 256;

/// Whether a handler runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Running {
    Yes,
    /// Its frame may be in a variable that was never written.
    Perhaps,
    No,
}

/// Goes back to the fault that a running handler got. A frame that the stack was not unwound to is
/// noted as a possibility. `frames` is the unwound stack; empty if it cannot be unwound.
pub(super) fn go_before(crash: &mut Crash, memory: &dyn Memory, maps: &Maps, frames: &[Frame]) {
    let handlers = signal_frames(crash, memory, maps);
    let of = |wanted: Running| -> Vec<SignalFrame> {
        let is_wanted =
            |handler: &&SignalFrame| running(crash, handler, memory, maps, frames) == wanted;
        handlers.iter().filter(is_wanted).cloned().collect()
    };
    let (known, possible) = (of(Running::Yes), of(Running::Perhaps));
    if known.is_empty() {
        crash.note_possible_handlers(&possible);
    }
    crash.go_before_handlers(&known);
}

fn running(
    crash: &Crash,
    handler: &SignalFrame,
    memory: &dyn Memory,
    maps: &Maps,
    frames: &[Frame],
) -> Running {
    // Its registers are those of the thread: it has just returned.
    if Some(handler.start) < crash.sp {
        return Running::Yes;
    }
    let is_code = |address: u64| {
        let row = maps.find(address).mapping.and_then(|at| maps.get(at));
        row.is_some_and(|row| row.perms.execute() || row.is_gate())
    };
    let guessed = frames.iter().position(|frame| frame.how == How::Scanned);
    let reached = frames.iter().enumerate().any(|(at, frame)| {
        frame.pc.wrapping_add(1) == handler.returns_to
            && guessed.is_none_or(|guessed| at < guessed)
            // The walk goes no further than to an address that is no code.
            && match frames.get(at + 1) {
                Some(next) => next.pc == handler.ip,
                None => !is_code(handler.ip),
            }
    });
    if reached || chain_reaches(crash, handler, memory, &is_code) {
        return Running::Yes;
    }
    let guesses = |frame: &Frame| matches!(frame.how, How::Scanned | How::FramePointer);
    match frames.is_empty() || frames.iter().any(guesses) {
        true => Running::Perhaps,
        false => Running::No,
    }
}

/// Whether the chain of frame pointers leads to the handler, which saves the interrupted one below
/// its return address.
fn chain_reaches(
    crash: &Crash,
    handler: &SignalFrame,
    memory: &dyn Memory,
    is_code: &dyn Fn(u64) -> bool,
) -> bool {
    let (name, word) = match crash.machine {
        Some(Machine::X86_64) => ("rbp", 8),
        Some(Machine::X86) => ("ebp", 4),
        _ => return false,
    };
    let read = |address: u64| match word {
        8 => memory.array(address).map(u64::from_le_bytes),
        _ => memory.array(address).map(u32::from_le_bytes).map(u64::from),
    };
    let register = crash.registers.iter().find(|(known, _)| known == name);
    let (Some((_, mut at)), Some(sp)) = (register.cloned(), crash.sp) else { return false };
    // The vdso of i386 saves the frame pointer, and then keeps the stack pointer in its register.
    if word == 4 && at == sp {
        at = read(at).unwrap_or(0);
    }
    for _ in 0..MAX_STEPS {
        let return_address = at.wrapping_add(word);
        if at < sp || return_address > handler.start {
            return false;
        }
        let (Some(next), Some(returns_to)) = (read(at), read(return_address)) else { return false };
        if return_address == handler.start {
            return true;
        }
        if !is_code(returns_to) || next <= at {
            return false;
        }
        at = next;
    }
    false
}
