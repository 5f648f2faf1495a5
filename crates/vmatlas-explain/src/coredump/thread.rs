//! A thread of a core dump.

use super::layout::Layout;
use super::registers::{self, RegisterFile};
use super::siginfo::SigInfo;
use super::signal_numbers::usual;
use crate::crash::Machine;

/// A thread, from its notes.
#[derive(Clone, Debug)]
pub struct CoreThread {
    /// The thread id.
    pub tid: u32,
    /// The current signal (`pr_cursig`) with its number on x86 and Arm; 0 if none. In a core that the
    /// kernel wrote, this signal ended the process.
    pub signal: i32,
    /// The `siginfo_t` of the signal (`NT_SIGINFO`). The kernel writes it for the thread that
    /// crashed, gdb for all threads.
    pub siginfo: Option<SigInfo>,
    /// The thread pointer from a separate note: the base of a segment or a system register.
    pub(super) thread_pointer: Option<u64>,
    file: Option<&'static RegisterFile>,
    values: Box<[u64]>,
}

impl CoreThread {
    /// Parses `NT_PRSTATUS` (`struct elf_prstatus` in include/linux/elfcore.h).
    pub(super) fn parse(note: &[u8], machine: Machine, layout: Layout) -> Option<CoreThread> {
        let signal = layout.u16(note, 12)?;
        let (tid, registers) = if layout.word == 8 { (32, 112) } else { (24, 72) };
        let file = registers::of(machine);
        let values = file.map_or(0..0, |file| {
            0..file.names.len().max(file.thread_pointer.map_or(0, |index| index + 1))
        });
        let size = file.map_or(layout.word, |file| file.size);
        Some(CoreThread {
            tid: layout.u32(note, tid)?,
            signal: usual(machine, signal.cast_signed().into()),
            siginfo: None,
            thread_pointer: None,
            file,
            values: values
                .map_while(|index| layout.sized(note, registers + index * size, size))
                .collect(),
        })
    }

    /// The registers in the kernel's order, with their names from the architecture's manual in
    /// lower case; empty for an unknown machine.
    pub fn registers(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = self.file.map_or(&[][..], |file| file.names);
        names.iter().copied().zip(self.values.iter().copied())
    }

    /// The value of a register, by its lower-case name.
    pub fn register(&self, name: &str) -> Option<u64> {
        self.registers().find(|(register, _)| *register == name).map(|(_, value)| value)
    }

    /// The instruction pointer.
    pub fn ip(&self) -> Option<u64> {
        self.register(self.file?.instruction_pointer)
    }

    /// The stack pointer.
    pub fn sp(&self) -> Option<u64> {
        self.register(self.file?.stack_pointer)
    }

    /// The thread pointer: the base of FS on x86-64, of GS on i386, TPIDR_EL0 on AArch64, the end
    /// of the thread control block on POWER.
    pub fn tp(&self) -> Option<u64> {
        let word = || {
            let file = self.file?;
            Some(self.values.get(file.thread_pointer?)?.wrapping_sub(file.thread_offset))
        };
        self.thread_pointer.or_else(word)
    }

    /// Reads `NT_ARM_TLS`: TPIDR_EL0 (arch/arm64/kernel/ptrace.c).
    pub(super) fn take_arm_tls(&mut self, note: &[u8], layout: Layout) {
        self.thread_pointer = layout.word(note, 0);
    }

    /// Reads `NT_386_TLS`: 16-byte descriptors of the segments that GS can select
    /// (`struct user_desc` in arch/x86/include/uapi/asm/ldt.h).
    pub(super) fn take_x86_tls(&mut self, note: &[u8], layout: Layout) {
        let Some(selector) = self.register("gs") else { return };
        let descriptor = note
            .chunks_exact(16)
            .find(|descriptor| layout.u32(descriptor, 0).map(u64::from) == Some(selector >> 3));
        let base = descriptor.and_then(|descriptor| layout.u32(descriptor, 4));
        self.thread_pointer = base.map(u64::from);
    }
}
