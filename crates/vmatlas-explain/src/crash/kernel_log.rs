//! Lines of the kernel log about programs that died by a fault.
//!
//! # References
//!
//! `show_signal_msg` in arch/x86/mm/fault.c, `show_signal` and `show_opcodes` in arch/x86/kernel,
//! Linux 6.1 and 6.18, whose output was seen. Bug reports quote the output of older kernels: it has
//! no `likely on CPU` and no `Code:`, the oldest has `rip` for `ip` and no mapping.
//! `print_vma_addr` in mm/memory.c prints the file offset before a `,` in 6.12 and not in 6.1.
//! `print_fatal_signal` in kernel/signal.c, `__oom_kill_process` in mm/oom_kill.c. Other
//! architectures are in `kernel_log/other.rs`.

mod code;
mod other;

use crate::crash::line::{Line, logged};
use crate::crash::log::{Found, Index, Reader};
use crate::crash::words::{
    after, hex, hex_after, id, leading_hex, leading_id, leading_signed, split, split_last, string,
    take_while,
};
use crate::crash::{Crash, CrashSource, Machine, page_fault, registers};
use code::{take_code, take_mapping};
use vmatlas_maps::uapi::signal::{SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGTRAP};

/// Maximum number of unrelated lines between the lines of a crash.
const FOLLOWING: u32 = 20;

/// Reads lines of the kernel log.
#[derive(Debug, Default)]
pub(super) struct KernelLog {
    /// Number of faults whose line `Code:` has not come yet. If there are several, the owner of the
    /// next such line is unknown.
    without_code: u32,
    last: Option<Index>,
    /// Number of lines since the last line of that crash.
    since: u32,
    /// Whether lines with its registers may follow.
    registers: bool,
    /// The line that says that an operator asked the kernel to end a process.
    asked: Option<String>,
}

impl Reader for KernelLog {
    fn line(&mut self, line: &Line<'_>, found: &mut Found) {
        let text = line.text;
        self.since = self.since.saturating_add(1);
        if let Some(is_asked) = begins_killing(text) {
            self.asked = is_asked.then(|| string(text));
        }
        if let Some(mut first) = first_line(text) {
            let is_killed = first.crash.signal == Some(SIGKILL);
            if let Some(asked) = self.asked.take_if(|_| is_killed) {
                let said = first.crash.message.unwrap_or_default();
                first.crash.message = Some(format!("{asked}\n{said}"));
            }
            let expects_code = first.expects_code;
            self.last = found.add(line, first.crash);
            self.without_code = if expects_code { self.without_code + 1 } else { 0 };
            (self.since, self.registers) = (0, first.registers);
        } else if let Some(code) = text.strip_prefix(b"Code: ") {
            let mine = self.last.filter(|_| self.without_code == 1 || self.registers);
            if let Some(crash) = mine.and_then(|last| found.get(last)) {
                take_code(crash, code);
            }
            self.without_code = 0;
        } else if let Some((name, signal)) = fatal_signal(text) {
            self.fatal_signal(line, name, signal, found);
        } else if let Some(last) = self.last.filter(|_| self.registers && self.since < FOLLOWING) {
            let (more, taken) = follow(last, text, found);
            self.registers = more;
            if taken {
                self.since = 0;
            }
        }
    }
}

impl KernelLog {
    /// `NAME: potentially unexpected fatal signal 11.` (`kernel.print-fatal-signals`; some kernels
    /// print no name) follows the line of the fault, if there is one.
    fn fatal_signal(&mut self, line: &Line<'_>, name: &[u8], signal: i32, found: &mut Found) {
        let name = Some(name).filter(|name| !name.is_empty()).map(<[u8]>::to_vec);
        let same =
            |crash: &Crash| crash.signal == Some(signal) && (name.is_none() || crash.comm == name);
        let last = self.last.filter(|_| self.since < 5);
        if !last.and_then(|last| found.get(last)).is_some_and(|crash| same(crash)) {
            let crash = Crash {
                source: CrashSource::KernelLog,
                comm: name,
                signal: Some(signal),
                ..Crash::default()
            };
            self.last = found.add(line, crash);
        }
        (self.since, self.registers, self.without_code) = (0, true, 0);
    }
}

fn fatal_signal(text: &[u8]) -> Option<(&[u8], i32)> {
    let (before, behind) = split(text, "potentially unexpected fatal signal ")?;
    // The line contains the name once or twice; old kernels append `/PID` to it.
    let name = before.strip_suffix(b": ").unwrap_or_default();
    let name = split_last(name, ": ").map_or(name, |(_, name)| name);
    let name = split_last(name, "/").filter(|(_, pid)| id(pid).is_some()).map_or(name, |n| n.0);
    (before.is_empty() || before.ends_with(b": ")).then_some((name, leading_signed(behind)?))
}

/// The contents of the first line of a crash.
struct First {
    crash: Crash,
    /// Whether a line `Code:` follows.
    expects_code: bool,
    /// Whether lines of registers follow.
    registers: bool,
}

fn first_line(text: &[u8]) -> Option<First> {
    // Few lines of a log pass this test, and it is cheap.
    if let Some((before, behind)) = split(text, "]: ") {
        let task = task(before);
        if let Some(rest) = behind.strip_prefix(b"segfault at ") {
            let crash = segfault(Task::of(task)?, rest)?;
            let expects_code = crash.machine != Some(Machine::Other(SPARC));
            return Some(First { crash, expects_code, registers: false });
        }
        let crash = Task::of(task).and_then(|task| other::signal(task, behind));
        if let Some(crash) = crash {
            return Some(First { crash, expects_code: false, registers: true });
        }
        if let Some(first) = named_like_a_prefix(text) {
            return Some(first);
        }
    }
    let (crash, registers) = trap(text)
        .or_else(|| out_of_memory(text))
        .map(|crash| (crash, false))
        .or_else(|| other::first_line(text).map(|crash| (crash, true)))?;
    Some(First { crash, expects_code: false, registers })
}

/// A thread may be named `my worker [3]:`, so the first `]: ` may belong to its name.
fn named_like_a_prefix(text: &[u8]) -> Option<First> {
    let (before, behind) = split_last(text, "]: segfault at ")?;
    let crash = segfault(Task::of(task(before))?, behind)?;
    Some(First { crash, expects_code: true, registers: false })
}

/// The thread that a line names: `NAME[TID`.
struct Task<'a> {
    comm: &'a [u8],
    tid: u32,
}

impl<'a> Task<'a> {
    fn of(parts: Option<(&'a [u8], u32)>) -> Option<Task<'a>> {
        parts.map(|(comm, tid)| Task { comm, tid })
    }

    /// A crash of this thread. The kernel prints the thread id (`task_pid_nr`).
    fn crash(&self, signal: Option<i32>) -> Crash {
        Crash {
            source: CrashSource::KernelLog,
            tid: Some(self.tid),
            comm: Some(self.comm.to_owned()),
            signal,
            ..Crash::default()
        }
    }
}

/// `TASK_COMM_LEN` without the NUL.
const LONGEST_NAME: usize = 15;

/// Parses the name and id in `NAME[TID`. Drops text before it that cannot belong to a name.
fn task(text: &[u8]) -> Option<(&[u8], u32)> {
    let (name, tid) = split_last(text, "[")?;
    let tid = id(tid)?;
    let name = split_last(name, "kernel: ").map_or(name, |(_, name)| logged(name).0);
    let name = name.strip_prefix(b"traps: ").unwrap_or(name);
    // An unknown prefix of the log ends with a blank.
    let name = match name.len().checked_sub(LONGEST_NAME).filter(|over| *over > 0) {
        Some(over) => match name.get(over..)?.iter().position(|&b| b == b' ') {
            Some(blank) => name.get(over + blank + 1..)?,
            None => split_last(name, " ").map(|(_, name)| name)?,
        },
        None => name,
    };
    (!name.is_empty()).then_some((name, tid))
}

/// `e_machine` of SPARC V9, whose lines are nearly those of x86.
const SPARC: u16 = 43;

/// Parses `10 ip 000055eb5d419217 sp 00007ffe8c4d6c30 error 6 in crasher[1217,55eb5d419000+1000] …`
fn segfault(task: Task<'_>, rest: &[u8]) -> Option<Crash> {
    let mut crash = task.crash(Some(SIGSEGV));
    crash.address = Some(leading_hex(rest)?);
    let number = |names: [&str; 3]| {
        names.into_iter().find_map(|name| {
            let value = after(rest, name)?;
            // Older kernels print a null pointer so, with blanks before it.
            if value.trim_ascii_start().starts_with(b"(null)") {
                return Some((0, 0));
            }
            let (digits, _) = take_while(value, |b| b.is_ascii_hexdigit());
            Some((hex(digits)?, digits.len()))
        })
    };
    let (ip, sp) = (number([" ip ", " rip ", " eip "]), number([" sp ", " rsp ", " esp "]));
    crash.ip = ip.map(|(ip, _)| ip);
    crash.sp = sp.map(|(sp, _)| sp);
    let error = after(rest, " error ");
    if after(rest, " (rpc ").is_some() {
        crash.machine = Some(Machine::Other(SPARC));
    } else {
        crash.machine = match (ip, sp) {
            (Some((_, 8)), _) => Some(Machine::X86),
            (Some(_), Some((sp, _))) => wide(sp),
            _ => None,
        };
        if let Some(bits) = error.and_then(leading_hex) {
            page_fault::take(&mut crash, bits);
            crash.message = Some(page_fault::words(&crash, bits));
        }
    }
    take_mapping(&mut crash, error.unwrap_or(rest));
    Some(crash)
}

/// The machine of a stack pointer above 4 GiB, which no 32-bit program has. Below, it is unknown.
fn wide(sp: u64) -> Option<Machine> {
    (sp > u64::from(u32::MAX)).then_some(Machine::X86_64)
}

/// Parses `traps: crasher[2062] general protection fault ip:5611dfef52bf sp:7fff8cdb4c00 error:0 in
/// …`
fn trap(text: &[u8]) -> Option<Crash> {
    let (before, rest) = split(text, " ip:")?;
    let (task_part, what) = split_last(before, "] ")?;
    let task = Task::of(task(task_part))?;
    let what = what.strip_prefix(b"trap ").unwrap_or(what);
    // The signals are those of the vectors in arch/x86/kernel/traps.c.
    let signal = match what {
        b"divide error" | b"coprocessor segment overrun" => SIGFPE,
        b"int3" => SIGTRAP,
        b"invalid opcode" => SIGILL,
        b"alignment check" | b"stack segment" | b"segment not present" => SIGBUS,
        b"overflow"
        | b"bounds"
        | b"invalid TSS"
        | b"general protection"
        | b"general protection fault"
        | b"control protection"
        | b"iret exception" => SIGSEGV,
        _ => return None,
    };
    let mut crash = task.crash(Some(signal));
    crash.ip = leading_hex(rest);
    crash.sp = hex_after(rest, " sp:");
    crash.machine = crash.sp.and_then(wide);
    let error = after(rest, " error:");
    let number = error.and_then(leading_hex).filter(|&error| error != 0);
    let what = string(what);
    crash.message = Some(match number {
        Some(error) => format!("{what}, error {error:#x}"),
        None => what,
    });
    take_mapping(&mut crash, error.unwrap_or(rest));
    Some(crash)
}

/// Whether a line begins the search for a process to end, and an operator asked for it:
/// `sysrq: Manual OOM execution`, or `kworker/0:1 invoked oom-killer: gfp_mask=…, order=-1, …`.
fn begins_killing(text: &[u8]) -> Option<bool> {
    let after_name = || after(text, " invoked oom-killer: ").map(|rest| after(rest, " order=-1,"));
    let is_sysrq = |text: &[u8]| text.starts_with(b"sysrq: ") || text.starts_with(b"SysRq : ");
    match split(text, "Manual OOM execution") {
        Some((before, rest)) if rest.is_empty() && is_sysrq(before) => Some(true),
        _ => after_name().map(|order| order.is_some()),
    }
}

/// Parses `Out of memory: Killed process 123 (name) total-vm:…`. Old kernels print nothing before
/// `Killed`, and some versions print `, UID 0,` after the number.
fn out_of_memory(text: &[u8]) -> Option<Crash> {
    let (before, rest) = split(text, "Killed process ")?;
    // Programs log such words too, but not the kernel's counts of memory.
    let counts = after(rest, " total-vm:").or_else(|| after(rest, " vsz:")).is_some();
    if !(before.is_empty() && counts || before.ends_with(b"ut of memory: ")) {
        return None;
    }
    let name = after(rest, "(")?;
    let name =
        split(name, ") total-vm:").or_else(|| split_last(name, ")")).map(|(name, _)| name)?;
    Some(Crash {
        source: CrashSource::KernelLog,
        pid: Some(leading_id(rest)?),
        comm: Some(name.to_owned()),
        signal: Some(SIGKILL),
        message: Some(string(text)),
        ..Crash::default()
    })
}

/// Reads a line after the first: registers, and the thread that has them. Returns whether more
/// lines may follow, and whether this line belongs to the crash.
fn follow(last: Index, text: &[u8], found: &mut Found) -> (bool, bool) {
    let Some(crash) = found.get(last) else { return (false, false) };
    // The registers of a fault in the kernel itself do not belong to a program.
    let of_kernel = ["RIP: 0010:", "BUG: ", "Oops", "Internal error: ", "Kernel panic", "Call "];
    if of_kernel.iter().any(|begin| text.starts_with(begin.as_bytes())) {
        return (false, false);
    }
    if text.starts_with(b"CPU: ") {
        let Some(tid) = after(text, "PID: ").and_then(leading_id) else { return (true, false) };
        let name = after(text, " Comm: ")
            .and_then(|rest| split(rest, " Not tainted").or_else(|| split(rest, " Tainted: ")));
        if let Some((name, _)) = name {
            crash.comm.get_or_insert_with(|| name.to_owned());
        }
        return (*crash.tid.get_or_insert(tid) == tid, true);
    }
    if other::follow(crash, text) {
        return (true, true);
    }
    // Other lines of s390x look like registers.
    let registers = crash.machine != Some(Machine::S390x) && registers::take(crash, text);
    (true, registers)
}
