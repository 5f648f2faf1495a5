//! What is known of a crash, whatever told of it: a core dump, a line of the kernel, a crash log of
//! a runtime, a recording.

mod apport;
mod coredump;
mod frame;
mod go;
mod hs_err;
mod json;
mod kernel_log;
mod line;
mod log;
mod page_fault;
mod registers;
mod runtime;
mod sanitizer;
mod tombstone;
mod words;

pub use apport::{Base64Error, apport_core};
pub use log::read_log;
pub use vmatlas_object::symbols::SymbolFrame;

use vmatlas_maps::AddressRange;
use vmatlas_maps::Maps;

/// A crash as one source tells of it. What it does not tell is absent, never made up.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Crash {
    /// What told of it.
    pub source: CrashSource,
    /// The process.
    pub pid: Option<u32>,
    /// The thread that crashed.
    pub tid: Option<u32>,
    /// Its name.
    pub comm: Option<Vec<u8>>,
    /// The signal's number as on the machine it comes from (signal(7)).
    pub signal: Option<i32>,
    /// `si_code` of the signal (sigaction(2)).
    pub code: Option<i32>,
    /// `si_addr`: the address that was accessed, for SIGSEGV and SIGBUS.
    pub address: Option<u64>,
    /// What was tried there.
    pub access: Option<Access>,
    /// Whether something was mapped there that forbade it (the P bit of x86's error code, or
    /// `SEGV_ACCERR`).
    pub present: Option<bool>,
    /// Whether a protection key forbade it.
    pub protection_key: Option<bool>,
    /// The machine, where it is told.
    pub machine: Option<Machine>,
    /// The instruction pointer.
    pub ip: Option<u64>,
    /// The stack pointer.
    pub sp: Option<u64>,
    /// The registers by the names that the architecture's manual gives them, in lower case.
    pub registers: Vec<(String, u64)>,
    /// Bytes of code, and the address of the first of them.
    pub code_bytes: Option<(u64, Vec<u8>)>,
    /// The mapping that the instruction is in, as the kernel's line names it: `in NAME[START+SIZE]`.
    pub ip_mapping: Option<(Vec<u8>, AddressRange)>,
    /// The stack of the thread that crashed, innermost first, as far as the source tells.
    pub frames: Vec<SymbolFrame>,
    /// The mappings, if the source has them.
    pub maps: Maps,
    /// What the source itself says of the cause, such as `Cause: null pointer dereference` of a
    /// tombstone, or the first line of a sanitizer's report.
    pub message: Option<String>,
}

/// What told of a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrashSource {
    /// Nothing but an address and a map.
    #[default]
    Address,
    /// An ELF core dump.
    Core,
    /// A line of the kernel: `segfault at …`, `traps: … general protection fault …`.
    KernelLog,
    /// An Android tombstone, or debuggerd's lines in logcat.
    Tombstone,
    /// The `hs_err_pidN.log` of a Java virtual machine.
    HsErr,
    /// A report of AddressSanitizer, MemorySanitizer, ThreadSanitizer or UBSan.
    Sanitizer,
    /// The report of the Go runtime.
    Go,
    /// What another runtime or library says when it ends a program: glibc, Rust, Python, Ruby, V8.
    Runtime,
    /// A report of apport.
    Apport,
    /// What systemd-coredump wrote to the journal, or `coredumpctl info` shows of it.
    Coredump,
    /// A recording of vmatlas.
    Recording,
}

/// What an instruction tried to do with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Execute it.
    Execute,
}

/// The architectures whose registers and instructions are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Machine {
    /// x86-64 (also called amd64).
    X86_64,
    /// 32-bit x86.
    X86,
    /// 64-bit Arm.
    AArch64,
    /// 32-bit Arm.
    Arm,
    /// 64-bit POWER; little-endian unless the core says otherwise.
    PowerPc64,
    /// IBM Z.
    S390x,
    /// RISC-V of 64 bits.
    RiscV64,
    /// Any other, by its number in an ELF header (`e_machine`).
    Other(u16),
}
