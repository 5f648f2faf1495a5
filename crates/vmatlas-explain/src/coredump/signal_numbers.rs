//! Signals of the machines that number them in their own way.

use crate::crash::Machine;

/// The columns of signal(7) where they differ: x86, Arm and most others; Alpha and SPARC; MIPS;
/// PA-RISC. 0 where a machine lacks the signal.
const NUMBERS: [[i32; 4]; 19] = [
    [7, 10, 10, 10],  // SIGBUS
    [10, 30, 16, 16], // SIGUSR1
    [12, 31, 17, 17], // SIGUSR2
    [16, 0, 0, 7],    // SIGSTKFLT
    [17, 20, 18, 18], // SIGCHLD
    [18, 19, 25, 26], // SIGCONT
    [19, 17, 23, 24], // SIGSTOP
    [20, 18, 24, 25], // SIGTSTP
    [21, 21, 26, 27], // SIGTTIN
    [22, 22, 27, 28], // SIGTTOU
    [23, 16, 21, 29], // SIGURG
    [24, 24, 30, 12], // SIGXCPU
    [25, 25, 31, 30], // SIGXFSZ
    [26, 26, 28, 20], // SIGVTALRM
    [27, 27, 29, 21], // SIGPROF
    [28, 28, 20, 23], // SIGWINCH
    [29, 23, 22, 22], // SIGIO
    [30, 29, 19, 19], // SIGPWR
    [31, 12, 12, 31], // SIGSYS
];

/// The column of [`NUMBERS`] for a machine (`e_machine` in elf(5)).
fn column(machine: Machine) -> usize {
    match machine {
        // EM_SPARC, EM_SPARC32PLUS, EM_SPARCV9 and EM_ALPHA.
        Machine::Other(2 | 18 | 43 | 0x9026) => 1,
        Machine::Other(8 | 10) => 2,
        Machine::Other(15) => 3,
        _ => 0,
    }
}

/// Whether a machine is MIPS (`EM_MIPS`, `EM_MIPS_RS3_LE`).
pub(super) fn is_mips(machine: Machine) -> bool {
    column(machine) == 2
}

/// Whether a machine has the signal numbers of x86 and Arm.
pub(crate) fn are_usual(machine: Machine) -> bool {
    column(machine) == 0
}

/// The number of a signal on x86 and Arm; 0 if they lack it.
pub(super) fn usual(machine: Machine, number: i32) -> i32 {
    let column = column(machine);
    let differs = |number: i32| NUMBERS.iter().any(|row| row.first() == Some(&number));
    let known = NUMBERS.iter().find(|row| row.get(column) == Some(&number) && number != 0);
    match known.and_then(|row| row.first()) {
        Some(usual) => *usual,
        // Such as SIGEMT.
        None if column != 0 && differs(number) => 0,
        None => number,
    }
}
