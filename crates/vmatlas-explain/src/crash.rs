//! A crash as any source reports it: a core dump, a line of the kernel log, the crash log of a
//! runtime, or a recording.

mod apport;
mod coredump;
mod debugger;
mod frame;
pub(crate) mod functions;
pub(crate) mod glibc;
mod go;
mod handler;
mod handler_frames;
mod hs_err;
mod json;
mod kernel_log;
mod line;
mod log;
mod macos;
pub(crate) mod page_fault;
mod registers;
mod runtime;
mod same;
mod sanitizer;
mod signal_names;
mod tombstone;
mod unread;
mod windows;
mod words;

pub use apport::{Base64Error, apport_core};
pub use log::read_log;
pub use unread::{Unread, unread};
pub use vmatlas_object::symbols::SymbolFrame;

use vmatlas_maps::AddressRange;
use vmatlas_maps::Maps;
use vmatlas_maps::uapi::signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

/// The signals that a program's own actions raise.
pub const FAULTS: [i32; 7] = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS];

/// A crash as one source reports it. Fields that the source does not report are absent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Crash {
    /// The source of the report.
    pub source: CrashSource,
    /// The process id.
    pub pid: Option<u32>,
    /// The id of the thread that crashed.
    pub tid: Option<u32>,
    /// The name of the thread (proc_pid_comm(5)).
    pub comm: Option<Vec<u8>>,
    /// The signal number on x86 and Arm (signal(7)): in core dumps of machines with other numbers it
    /// is converted. If a handler got the signal and then ended the program, this is the signal that
    /// the handler got.
    pub signal: Option<i32>,
    /// The signal by which a signal handler ended the program, after it had got `signal`.
    pub ended_by: Option<i32>,
    /// The signal whose handler was running.
    pub in_handler_of: Option<i32>,
    /// The signal whose handler may have been running: its frame is on the stack, or was left there.
    pub perhaps_in_handler_of: Option<i32>,
    /// Whether a debugger says that the signal has ended the program; `Some(false)` if it stopped the
    /// program at the signal.
    pub has_ended: Option<bool>,
    /// `si_code` of the signal (sigaction(2)).
    pub code: Option<i32>,
    /// `si_pid` and `si_uid`: who sent the signal.
    pub sender: Option<Sender>,
    /// `si_addr`: the address that was accessed, for SIGSEGV and SIGBUS.
    pub address: Option<u64>,
    /// The kind of access.
    pub access: Option<Access>,
    /// Whether a mapping existed at the address and denied the access (the P bit of x86's error
    /// code, or `SEGV_ACCERR`).
    pub present: Option<bool>,
    /// Whether a protection key denied the access.
    pub protection_key: Option<bool>,
    /// The machine, if the source reports it.
    pub machine: Option<Machine>,
    /// The instruction pointer.
    pub ip: Option<u64>,
    /// The stack pointer.
    pub sp: Option<u64>,
    /// The registers by the names that the architecture's manual gives them, in lower case.
    pub registers: Vec<(String, u64)>,
    /// The address of the first byte of code around the instruction, and the bytes.
    pub code_bytes: Option<(u64, Vec<u8>)>,
    /// The mapping that contains the instruction, from the kernel's line: `in NAME[START+SIZE]`.
    pub ip_mapping: Option<(Vec<u8>, AddressRange)>,
    /// The stack of the thread that crashed, innermost frame first, as far as the source reports
    /// it.
    pub frames: Vec<SymbolFrame>,
    /// The mappings, if the source has them.
    pub maps: Maps,
    /// The cause in the source's own words, such as `Cause: null pointer dereference` of a
    /// tombstone, or the first line of a sanitizer's report.
    pub message: Option<String>,
}

impl Crash {
    /// Whether the process sent the signal to itself, as far as the source shows: no fault of an
    /// instruction is known, and no other sender.
    pub fn is_sent_by_itself(&self) -> bool {
        let own = |pid| Some(pid) == self.pid;
        match self.sender {
            Some(sender) => own(sender.pid),
            None => self.signal.is_some() && self.code.is_none_or(|code| code <= 0),
        }
    }
}

/// Who sent a signal, in the namespaces of the process that got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The process; 0 if it is in none of these pid namespaces, or the kernel.
    pub pid: u32,
    /// Its real user.
    pub uid: u32,
}

/// The source of a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrashSource {
    /// Only an address and a map.
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
    /// The message of another runtime or library that ends a program, or of a program's own signal
    /// handler: glibc, C++, Rust, Python, Ruby, V8, .NET, Chromium, glog, Redis; or of gdb.
    Runtime,
    /// A report of apport.
    Apport,
    /// The journal entry of systemd-coredump, or the output of `coredumpctl info`.
    Coredump,
    /// A recording of vmatlas.
    Recording,
}

/// The kind of access of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load from memory.
    Read,
    /// A store to memory.
    Write,
    /// An instruction fetch.
    Execute,
}

/// The architecture of a crashed program.
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
    /// IBM Z (64-bit).
    S390x,
    /// 64-bit RISC-V.
    RiscV64,
    /// Any other architecture, by its number in the ELF header (`e_machine`).
    Other(u16),
}
