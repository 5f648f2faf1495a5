//! The frames that the kernel puts on a stack before it calls a signal handler. They hold the
//! signal, the registers and the error code of the moment that the handler interrupted.
//!
//! # References
//!
//! `struct rt_sigframe` in arch/x86/include/asm/sigframe.h, `struct sigcontext_64`, `sigcontext_32`
//! in arch/x86/include/uapi/asm/sigcontext.h, arch/x86/kernel/signal_{32,64}.c of Linux 6.18.

use super::SigInfo;
use crate::crash::{Crash, FAULTS, Machine, page_fault};
use vmatlas_maps::Maps;
use vmatlas_maps::uapi::siginfo::{SEGV_ACCERR, SEGV_MAPERR, SEGV_PKUERR, SI_KERNEL};
use vmatlas_maps::uapi::signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
use vmatlas_object::Memory;

/// Number of bytes above the stack pointer in which frames are searched: what a handler may have on
/// its stack. Those of i386 are rarely known to run, so only the nearest ones are taken.
const SEARCHED: u64 = 1 << 20;
const SEARCHED_32: u64 = 16 << 10;
/// Number of bytes below the stack pointer in which the frame of a handler that has returned may
/// still be: the red zone, the registers of AMX and the frame.
const LEFT_OVER: u64 = 16 << 10;
/// Maximum number of frames that are read.
const MAX_FRAMES: usize = 16;
/// Number of bytes read at once.
const BLOCK: usize = 4096;
/// The vector of page faults.
const PAGE_FAULT: u64 = 14;
/// The vector of general protection faults.
const GENERAL_PROTECTION: u64 = 13;

/// A signal that a handler got, with the state of the thread at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignalFrame {
    /// The address of the frame.
    pub start: u64,
    /// The address to which the handler returns.
    pub returns_to: u64,
    /// The signal number.
    pub signal: i32,
    /// The siginfo; the kernel writes none for handlers without `SA_SIGINFO`.
    pub siginfo: Option<SigInfo>,
    /// The interrupted registers by their lower-case names.
    pub registers: Vec<(String, u64)>,
    /// The instruction pointer.
    pub ip: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The vector and the error code of the processor.
    trap: (u64, u64),
    /// The address of a page fault (CR2).
    fault_address: u64,
}

/// Finds the frames of signal handlers on the stack of a thread, innermost first: those above the
/// stack pointer, whose handlers run, and one below it from which the thread has just returned to
/// its present instruction. x86-64 and i386 only.
pub fn signal_frames(crash: &Crash, memory: &dyn Memory, maps: &Maps) -> Vec<SignalFrame> {
    let (Some(ip), Some(sp)) = (crash.ip, crash.sp) else { return Vec::new() };
    let layout = match crash.machine {
        Some(Machine::X86_64) => &X86_64,
        Some(Machine::X86) => &X86,
        _ => return Vec::new(),
    };
    let mut found = Vec::new();
    let mut bytes = [0; BLOCK];
    let mut from = sp.saturating_sub(LEFT_OVER) & !(BLOCK as u64 - 1);
    let end = sp.saturating_add(layout.searched);
    while from < end && found.len() < MAX_FRAMES {
        let read = memory.read(from, &mut bytes);
        if read == 0 && from >= sp {
            break;
        }
        for (index, word) in
            bytes.get(..read).unwrap_or_default().chunks_exact(layout.word).enumerate()
        {
            let start = from.wrapping_add((index * layout.word) as u64);
            if start % 16 != layout.remainder {
                continue;
            }
            let word = number(word);
            let code = maps.find(word).mapping.and_then(|at| maps.get(at));
            if !code.is_some_and(|row| row.perms.execute()) {
                continue;
            }
            let Some(frame) = (layout.read)(memory, maps, start, word) else { continue };
            if start >= sp || (frame.ip, frame.sp) == (ip, sp) {
                found.push(frame);
            }
        }
        from = from.saturating_add(BLOCK as u64);
    }
    found.truncate(MAX_FRAMES);
    found
}

struct Layout {
    word: usize,
    /// The address of a frame modulo 16.
    remainder: u64,
    /// Number of bytes above the stack pointer to search.
    searched: u64,
    /// Reads the frame at an address, whose first word is the return address.
    read: fn(&dyn Memory, &Maps, u64, u64) -> Option<SignalFrame>,
}

const X86_64: Layout = Layout { word: 8, remainder: 8, searched: SEARCHED, read: frame_64 };
const X86: Layout = Layout { word: 4, remainder: 12, searched: SEARCHED_32, read: frame_32 };

/// Decodes a little-endian number of up to 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Code of x86-64 to which handlers return: `mov $__NR_rt_sigreturn, %rax; syscall`. The compilers
/// of some C libraries write `%eax`.
const RETURNS_64: [&[u8]; 2] = [b"\x48\xc7\xc0\x0f\0\0\0\x0f\x05", b"\xb8\x0f\0\0\0\x0f\x05"];

/// The name of the function of C libraries to which handlers return.
pub const RETURN_OF_HANDLER: &str = "__restore_rt";

/// Whether signal handlers of x86-64 return to the code at an address.
pub fn is_handler_return(memory: &dyn Memory, address: u64) -> bool {
    is_code(memory, address, &RETURNS_64)
}

/// Reads the rest of a frame: `struct rt_sigframe`.
fn frame_64(memory: &dyn Memory, maps: &Maps, start: u64, returns_to: u64) -> Option<SignalFrame> {
    const NAMES: [&str; 18] = [
        "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx",
        "rax", "rcx", "rsp", "rip", "eflags",
    ];
    // Offsets in the frame: `uc` begins at 8, its `uc_mcontext` 40 bytes later.
    const CONTEXT: usize = 8 + 40;
    const SIGINFO: usize = 8 + 304;
    const SIGINFO_SIZE: usize = 128;
    if !is_handler_return(memory, returns_to) {
        return None;
    }
    let bytes: [u8; SIGINFO + SIGINFO_SIZE] = memory.array(start)?;
    let word = |at: usize| bytes.get(at..at + 8).map(number);
    let context = |index: usize| word(CONTEXT + index * 8);
    // The selectors of code in 64-bit and in compatibility mode.
    let code_segment = context(18)? & 0xffff;
    if !matches!(code_segment, 0x33 | 0x23) {
        return None;
    }
    let registers: Vec<(String, u64)> = NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| Some(((*name).to_owned(), context(index)?)))
        .collect::<Option<_>>()?;
    let siginfo = SigInfo::of_x86(bytes.get(SIGINFO..)?, 8).filter(is_valid);
    let mut frame = SignalFrame {
        start,
        returns_to,
        signal: siginfo.map_or(0, |info| info.signal),
        siginfo,
        registers,
        sp: context(15)?,
        ip: context(16)?,
        trap: (context(20)?, context(19)?),
        fault_address: context(22)?,
    };
    if siginfo.is_none() {
        frame.signal = signal_of_trap(&frame, memory, maps)?;
    }
    Some(frame)
}

/// Whether these bytes are a siginfo and not what else was on the stack.
fn is_valid(info: &SigInfo) -> bool {
    (1..=64).contains(&info.signal) && (-64..=SI_KERNEL).contains(&info.code)
}

/// The signal that the kernel sends for the trap of a frame without siginfo (arch/x86/kernel/traps.c).
/// The trap is an earlier one of the thread if the signal was sent by a process.
fn signal_of_trap(frame: &SignalFrame, memory: &dyn Memory, maps: &Maps) -> Option<i32> {
    const WRITE: u64 = 1 << 1;
    const FETCH: u64 = 1 << 4;
    let (vector, error) = frame.trap;
    match vector {
        0 if is_division(memory, frame.ip) => Some(SIGFPE),
        1 | 3 => Some(SIGTRAP),
        6 => Some(SIGILL),
        13 => Some(SIGSEGV),
        PAGE_FAULT => {
            let row = maps.find(frame.fault_address).mapping.and_then(|at| maps.get(at));
            let permits = row.is_some_and(|row| match (error & FETCH, error & WRITE) {
                (0, 0) => row.perms.read(),
                (0, _) => row.perms.write(),
                _ => row.perms.execute(),
            });
            let of_file = row.is_some_and(|row| row.name.starts_with(b"/"));
            match (permits, of_file) {
                (false, _) => Some(SIGSEGV),
                (true, true) => Some(SIGBUS),
                // A guard page or a protection key; not a signal that came in a system call.
                (true, false) if !is_after_system_call(memory, frame.ip) => Some(SIGSEGV),
                (true, false) => None,
            }
        }
        16 | 19 => Some(SIGFPE),
        17 => Some(SIGBUS),
        _ => None,
    }
}

/// Whether the instruction before is `syscall`, `sysenter` or `int 0x80`.
pub fn is_after_system_call(memory: &dyn Memory, ip: u64) -> bool {
    let before: Option<[u8; 2]> = memory.array(ip.wrapping_sub(2));
    matches!(before, Some([0x0f, 0x05 | 0x34] | [0xcd, 0x80]))
}

/// Whether the instruction is `div` or `idiv`.
fn is_division(memory: &dyn Memory, ip: u64) -> bool {
    let bytes: Option<[u8; 4]> = memory.array(ip);
    let bytes = bytes.unwrap_or_default();
    let opcode = bytes.iter().position(|byte| !matches!(byte, 0x40..=0x4f | 0x66));
    let rest = opcode.and_then(|at| bytes.get(at..)).unwrap_or_default();
    matches!(rest, [0xf6 | 0xf7, modrm, ..] if modrm >> 3 & 6 == 6)
}

/// Reads the rest of a frame: `struct rt_sigframe_ia32` or, of handlers without `SA_SIGINFO`,
/// `struct sigframe_ia32`.
fn frame_32(memory: &dyn Memory, _: &Maps, start: u64, returns_to: u64) -> Option<SignalFrame> {
    const RETURNS_RT: [&[u8]; 1] = [b"\xb8\xad\0\0\0\xcd\x80"];
    const RETURNS: [&[u8]; 1] = [b"\x58\xb8\x77\0\0\0\xcd\x80"];
    // `info` in `struct rt_sigframe_ia32`, and `uc_mcontext` in its `uc`.
    const SIGINFO: u64 = 16;
    const CONTEXT_RT: u64 = SIGINFO + 128 + 20;
    const CONTEXT: u64 = 8;
    const SIZE: usize = 88;
    // The registers of `struct sigcontext_32` from its offset 16 on.
    const NAMES: [&str; 8] = ["edi", "esi", "ebp", "esp", "ebx", "edx", "ecx", "eax"];
    let with_siginfo = is_code(memory, returns_to, &RETURNS_RT);
    if !with_siginfo && !is_code(memory, returns_to, &RETURNS) {
        return None;
    }
    let head: [u8; 16] = memory.array(start)?;
    let head = |index: usize| head.get(index * 4..index * 4 + 4).map(number);
    let signal = i32::try_from(head(1)?).ok().filter(|signal| (1..=64).contains(signal))?;
    let mut siginfo = None;
    if with_siginfo {
        // The handler's arguments are the addresses of these parts.
        (head(2)? == start.wrapping_add(SIGINFO) && head(3)? == start.wrapping_add(SIGINFO + 128))
            .then_some(())?;
        let bytes: [u8; 128] = memory.array(start.wrapping_add(SIGINFO))?;
        siginfo = Some(SigInfo::of_x86(&bytes, 4).filter(|info| info.signal == signal)?);
    }
    let bytes: [u8; SIZE] =
        memory.array(start.wrapping_add(if with_siginfo { CONTEXT_RT } else { CONTEXT }))?;
    let word = |at: usize| bytes.get(at..at + 4).map(number);
    matches!(word(60)? & 0xffff, 0x23 | 0x73).then_some(())?;
    let mut registers: Vec<(String, u64)> = NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| Some(((*name).to_owned(), word(16 + index * 4)?)))
        .collect::<Option<_>>()?;
    let ip = word(56)?;
    registers.extend([("eip".to_owned(), ip), ("eflags".to_owned(), word(64)?)]);
    Some(SignalFrame {
        start,
        returns_to,
        signal,
        siginfo,
        registers,
        sp: word(28)?,
        ip,
        trap: (word(48)?, word(52)?),
        fault_address: word(84)?,
    })
}

/// Whether one of these codes stands at the address.
fn is_code(memory: &dyn Memory, address: u64, codes: &[&[u8]]) -> bool {
    let mut bytes = [0; 16];
    let read = memory.read(address, &mut bytes);
    let bytes = bytes.get(..read).unwrap_or_default();
    codes.iter().any(|code| bytes.starts_with(code))
}

impl Crash {
    /// Goes back to the fault that a signal handler got before it ended the program. `frames` are
    /// those of [`signal_frames`].
    pub fn go_before_handlers(&mut self, frames: &[SignalFrame]) {
        let ended_by = self.signal;
        for frame in frames.iter().filter(|frame| FAULTS.contains(&frame.signal)) {
            if !self.is_sent_by_itself() {
                // The handler itself failed.
                let running = frame.sp != self.sp.unwrap_or(0);
                self.in_handler_of = Some(frame.signal).filter(|_| running);
                break;
            }
            self.take_frame(frame);
            self.ended_by = ended_by;
        }
    }

    /// Notes the signal of the innermost of `frames`, of which it is not known whether their handlers
    /// run.
    pub fn note_possible_handlers(&mut self, frames: &[SignalFrame]) {
        let signal = frames.iter().map(|frame| frame.signal).find(|it| FAULTS.contains(it));
        self.perhaps_in_handler_of = signal;
    }

    fn take_frame(&mut self, frame: &SignalFrame) {
        let info = frame.siginfo;
        self.signal = Some(frame.signal);
        self.code = info.map(|info| info.code);
        self.sender = info.and_then(|info| info.sender);
        self.address = info.and_then(|info| info.address);
        let (vector, error) = frame.trap;
        if info.is_none() && vector == GENERAL_PROTECTION {
            self.code = Some(SI_KERNEL);
        }
        let fault = matches!(frame.signal, SIGSEGV | SIGBUS);
        let page_fault = vector == PAGE_FAULT && fault;
        if page_fault && info.is_none() {
            self.address = Some(frame.fault_address);
        }
        (self.access, self.present, self.protection_key) = (None, None, None);
        if page_fault && self.address.is_some() {
            page_fault::take(self, error);
        }
        (self.present, self.protection_key) = match self.code.filter(|_| frame.signal == SIGSEGV) {
            Some(SEGV_MAPERR) => (Some(false), Some(false)),
            Some(SEGV_ACCERR) => (Some(true), Some(false)),
            Some(SEGV_PKUERR) => (Some(true), Some(true)),
            _ => (self.present, self.protection_key),
        };
        (self.ip, self.sp) = (Some(frame.ip), Some(frame.sp));
        // The frame has no bases of segments, and handlers do not change them.
        let of_frame = |name: &str| frame.registers.iter().any(|(known, _)| known == name);
        self.registers.retain(|(name, _)| {
            !of_frame(name) && !matches!(name.as_str(), "orig_rax" | "orig_eax")
        });
        self.registers.extend(frame.registers.iter().cloned());
        self.code_bytes = None;
    }
}
