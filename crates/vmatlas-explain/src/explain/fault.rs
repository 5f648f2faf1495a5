//! The faulting access: from the crash source, the instruction and the registers.

use super::instruction::{
    self, Instruction, InstructionKind, MAX_INSTRUCTION_BYTES, MemoryOperand, RegisterValue,
};
use super::null;
use crate::beyond::is_canonical;
use crate::crash::{Access, Crash, CrashSource, Machine};
use crate::tagged::Tagged;
use vmatlas_maps::uapi::siginfo::{BUS_ADRALN, SEGV_CPERR, SI_KERNEL};
use vmatlas_maps::uapi::signal::{SIGBUS, SIGSEGV, SIGTRAP};
use vmatlas_object::Memory;

/// The access that crashed the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The accessed address, without upper bits that the processor ignores.
    pub address: Option<u64>,
    /// The pointer, if its upper bits are no part of an address.
    pub tagged: Option<Tagged>,
    /// Whether the address was derived from registers, because the kernel did not report it.
    pub derived: bool,
    /// The kind of access.
    pub access: Option<Access>,
    /// The instruction; `None` if its bytes are unknown.
    pub instruction: Option<Instruction>,
    /// The operand of the instruction that has the address.
    pub operand: Option<MemoryOperand>,
}

impl Fault {
    /// Finds the access of a crash. Reads the instruction from `memory` if the source does not
    /// contain it.
    pub fn of(crash: &Crash, memory: Option<&dyn Memory>) -> Fault {
        let instruction = decode(crash, memory);
        let mut fault = Fault { instruction, access: crash.access, ..Fault::default() };
        let is_fault = crash.signal.is_none_or(|signal| signal == SIGSEGV || signal == SIGBUS);
        let sent = crash.code.is_some_and(|code| code <= 0);
        if !is_fault || sent {
            return fault;
        }
        // x86 reports no address with a general protection fault or an alignment check, and the
        // fault of a shadow stack is not about one.
        let of_shadow = crash.signal == Some(SIGSEGV) && crash.code == Some(SEGV_CPERR);
        let x86 = matches!(crash.machine, Some(Machine::X86_64 | Machine::X86) | None);
        let of_check = x86 && crash.address == Some(0) && is_alignment_check(crash);
        let reported = crash.code != Some(SI_KERNEL) && !of_shadow && !of_check;
        fault.address = crash.address.filter(|_| reported);
        if null::may_lack_address(crash, &fault) {
            let mut derived = Fault { address: None, ..fault.clone() };
            derived.derive(crash, memory);
            if derived.address.is_some_and(|address| !is_canonical(crash.machine, address)) {
                return derived;
            }
        }
        match fault.address {
            Some(address) => {
                fault.find_operand(crash, address);
                fault.tagged = Tagged::of(address, crash.machine, None, &crash.maps);
                let ignored = fault.tagged.filter(Tagged::are_ignored);
                fault.address = Some(ignored.map_or(address, |tagged| tagged.address));
            }
            None if of_shadow => {}
            None if crash.signal.is_some() && x86 => fault.derive(crash, memory),
            None if crash.signal.is_some() => fault.only(crash),
            None => {}
        }
        fault
    }

    /// The register that contained the pointer, with its value.
    pub fn pointer(&self) -> Option<&RegisterValue> {
        match &self.operand {
            Some(operand) => operand.base.as_ref().or(operand.index.as_ref()),
            None => self.instruction.as_ref()?.target.as_ref(),
        }
    }

    fn find_operand(&mut self, crash: &Crash, address: u64) {
        if crash.ip == Some(address) && self.access.is_none_or(|access| access == Access::Execute) {
            // The processor did not execute the instruction at this address.
            self.access = Some(Access::Execute);
            self.instruction = None;
            return;
        }
        if self.access == Some(Access::Execute) {
            return;
        }
        let bits32 = crash.machine == Some(Machine::X86);
        let Some(instruction) = &self.instruction else { return };
        let covers = instruction.operands.iter().filter(|operand| operand.covers(address));
        let fits = |operand: &&MemoryOperand| match self.access {
            Some(Access::Write) => operand.write,
            Some(Access::Read) => operand.read,
            _ => true,
        };
        // With unknown registers, only a single candidate operand is accepted.
        let mut unknown = instruction.operands.iter().filter(|operand| operand.address.is_none());
        let alone = unknown.next().filter(|_| unknown.next().is_none());
        self.operand = covers
            .clone()
            .find(fits)
            .or_else(|| covers.clone().next())
            .cloned()
            .or_else(|| Some(reckoned(alone.filter(fits)?.clone(), address, bits32)));
        self.learn_access();
    }

    /// Finds an operand that the processor must refuse without a page fault.
    fn derive(&mut self, crash: &Crash, memory: Option<&dyn Memory>) {
        let machine = crash.machine;
        let in_row = |address: u64| crash.maps.find(address).mapping.is_some();
        let wild = |address: u64| !is_canonical(machine, address) && !in_row(address);
        // Some processors refuse the call or jump, others the first instruction after it.
        if crash.ip.is_some_and(wild) {
            (self.address, self.derived) = (crash.ip, true);
            self.access = Some(Access::Execute);
            self.instruction = None;
            return;
        }
        if crash.code.is_none() && crash.ip.is_some_and(|ip| is_no_code(crash, ip)) {
            (self.address, self.derived) = (crash.ip, true);
            self.access = Some(Access::Execute);
            self.instruction = None;
            return;
        }
        let Some(instruction) = &self.instruction else { return };
        let operands = || instruction.operands.iter();
        let unaligned = |operand: &&MemoryOperand| {
            let checked = Some(operand.size.max(1)).filter(|_| is_alignment_check(crash));
            let alignment = instruction.alignment.or(checked).unwrap_or(1);
            operand.address.is_some_and(|address| !address.is_multiple_of(alignment))
        };
        // A source without siginfo (a core of an old kernel, or of QEMU) may be of a page fault.
        let unknown = crash.code.is_none();
        let refused = |operand: &&MemoryOperand| unknown && is_refused(crash, operand);
        let found = operands()
            .find(|operand| operand.address.is_some_and(wild))
            .or_else(|| operands().find(refused))
            .or_else(|| operands().find(unaligned));
        if let Some(operand) = found.cloned() {
            (self.address, self.derived) = (operand.address, true);
            self.operand = Some(operand);
            return self.learn_access();
        }
        let branch = match instruction.kind {
            InstructionKind::Return => {
                let stack = operands().find(|operand| operand.stack);
                stack.and_then(|operand| word(memory?, operand.address?))
            }
            InstructionKind::Call | InstructionKind::Jump => {
                let held = instruction.target.as_ref().and_then(|target| target.value);
                held.or_else(|| {
                    let table = operands().find(|operand| operand.read && !operand.stack)?;
                    word(memory?, table.address?)
                })
            }
            _ => None,
        };
        if let Some(address) = branch.filter(|address| wild(*address)) {
            (self.address, self.derived) = (Some(address), true);
            self.access = Some(Access::Execute);
        }
    }

    /// Uses the only possible operand. Log lines of other kernels have registers and no address.
    fn only(&mut self, crash: &Crash) {
        if self.access == Some(Access::Execute) {
            (self.address, self.derived) = (crash.ip, true);
            self.instruction = None;
            return;
        }
        let operands = self.instruction.as_ref().map_or(&[][..], |found| &found.operands);
        let [operand] = operands else { return };
        (self.address, self.derived) = (operand.address, operand.address.is_some());
        self.operand = Some(operand.clone());
        self.learn_access();
    }

    fn learn_access(&mut self) {
        let Some(operand) = &self.operand else { return };
        let access = if operand.write { Access::Write } else { Access::Read };
        self.access = self.access.or(Some(access));
    }
}

fn is_alignment_check(crash: &Crash) -> bool {
    crash.signal == Some(SIGBUS) && crash.code == Some(BUS_ADRALN)
}

/// Whether the crash has a map to which no row is missing.
fn has_whole_map(crash: &Crash) -> bool {
    let whole = matches!(crash.source, CrashSource::Core | CrashSource::Recording);
    whole && !crash.maps.is_empty()
}

/// Whether the map refuses the access of an operand.
fn is_refused(crash: &Crash, operand: &MemoryOperand) -> bool {
    let Some(address) = operand.address.filter(|_| has_whole_map(crash)) else { return false };
    match crash.maps.find(address).mapping.and_then(|at| crash.maps.get(at)) {
        Some(row) if row.is_gate() => operand.write,
        Some(row) => operand.write && !row.perms.write() || operand.read && !row.perms.read(),
        None => true,
    }
}

/// Whether the map has no executable row at the address.
fn is_no_code(crash: &Crash, address: u64) -> bool {
    let row = crash.maps.find(address).mapping.and_then(|at| crash.maps.get(at));
    has_whole_map(crash) && !row.is_some_and(|row| row.perms.execute() || row.is_gate())
}

/// Computes the unknown register of an operand from its known address.
fn reckoned(mut operand: MemoryOperand, address: u64, bits32: bool) -> MemoryOperand {
    operand.address = Some(address);
    if let Some(base) = &mut operand.base
        && operand.index.is_none()
        && !operand.segment
    {
        let value = address.wrapping_sub(operand.displacement as u64);
        base.value = Some(if bits32 { value & 0xffff_ffff } else { value });
    }
    operand
}

fn word(memory: &dyn Memory, address: u64) -> Option<u64> {
    memory.array(address).map(u64::from_le_bytes)
}

fn decode(crash: &Crash, memory: Option<&dyn Memory>) -> Option<Instruction> {
    let (machine, mut ip) = (crash.machine?, crash.ip?);
    // On x86, the breakpoint (int3) has executed when it traps.
    let x86 = matches!(machine, Machine::X86_64 | Machine::X86);
    let before = ip.wrapping_sub(1);
    let byte = |memory: &dyn Memory| memory.array::<1>(before);
    if x86 && crash.signal == Some(SIGTRAP) && memory.and_then(byte) == Some([0xcc]) {
        ip = before;
    }
    let mut read = [0; MAX_INSTRUCTION_BYTES];
    let bytes = crash.code_bytes.as_ref().and_then(|(start, bytes)| {
        let into = usize::try_from(ip.checked_sub(*start)?).ok()?;
        bytes.get(into..).filter(|bytes| !bytes.is_empty())
    });
    let bytes = match bytes {
        Some(bytes) => bytes.get(..MAX_INSTRUCTION_BYTES).unwrap_or(bytes),
        None => {
            let count = memory?.read(ip, &mut read).min(MAX_INSTRUCTION_BYTES);
            read.get(..count)?
        }
    };
    instruction::decode(machine, bytes, ip, &|name| register(crash, name))
}

/// The value of a crash register by its lower-case name.
pub(super) fn register(crash: &Crash, name: &str) -> Option<u64> {
    let known = crash.registers.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    known.or(match name {
        "rsp" | "esp" | "sp" => crash.sp,
        "rip" | "eip" | "pc" => crash.ip,
        _ => None,
    })
}
