//! The seccomp filter of a recorded program: calls that can change an address space stop, all
//! others run on.
//!
//! When a filter is installed, the kernel runs it once for each number. If it allows a number
//! without loading an argument, it is never run for that number again (Linux 5.11). Therefore
//! arguments are loaded only for numbers of which some calls are relevant.
//!
//! # References
//! seccomp(2); Linux 6.18 `kernel/seccomp.c` (`seccomp_is_const_allow`).

use super::arch::{ABIS, audit_arch};
use super::calls::{Rule, rules};
use crate::sys::seccomp::Instruction;
use vmatlas_maps::uapi::audit::X32_SYSCALL_BIT;
use vmatlas_maps::uapi::seccomp::{
    BPF_ALU_AND, BPF_JMP_JA, BPF_JMP_JEQ, BPF_JMP_JGE, BPF_JMP_JGT, BPF_LD_W_ABS, BPF_RET,
    SECCOMP_RET_ALLOW, SECCOMP_RET_TRACE,
};
use vmatlas_recording::call::{Abi, Counts, Meaning};

/// Marks our stops, to distinguish them from those of the program's own filters. The low bits are
/// the ABI.
const DATA: u16 = 0x5a30;
/// Marks calls that stop for another reason than changing an address space.
const WATCHED: u16 = 4;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// Jumps over `no` instructions if the comparison of `code` is false.
fn test(code: u16, k: u32, no: u8) -> Instruction {
    Instruction { code, jt: 0, jf: no, k }
}

/// The return instruction for a call that stops.
fn stop(abi: Abi, meaning: Meaning) -> Instruction {
    plain(BPF_RET, SECCOMP_RET_TRACE | u32::from(data(abi, meaning)))
}

fn data(abi: Abi, meaning: Meaning) -> u16 {
    let watched = !matches!(meaning, Meaning::Change(_) | Meaning::PrctlSeccomp);
    DATA | abi as u16 | if watched { WATCHED } else { 0 }
}

/// The ABI in a stop's data, and whether the call may change an address space, if the stop is ours.
pub(crate) fn abi(data: u64) -> Option<(Abi, bool)> {
    let ours = data & !u64::from(3 | WATCHED) == u64::from(DATA);
    let abi = ABIS.into_iter().find(|&abi| data & 3 == abi as u64).filter(|_| ours)?;
    Some((abi, data & u64::from(WATCHED) == 0))
}

/// The filter.
pub(crate) fn filter() -> Vec<Instruction> {
    let [wide, narrow, x32] = ABIS.map(|abi| search(abi, &rules(abi)));
    let mut filter = vec![
        plain(BPF_LD_W_ABS, ARCH),
        // Most calls use this ABI. Subtrees exceed the range of a conditional jump.
        test(BPF_JMP_JEQ, audit_arch(Abi::X86_64), 5),
        plain(BPF_LD_W_ABS, NUMBER),
        test(BPF_JMP_JGE, X32_SYSCALL_BIT, 2),
        plain(BPF_ALU_AND, !X32_SYSCALL_BIT),
        plain(BPF_JMP_JA, 4 + wide.len() as u32 + narrow.len() as u32),
        plain(BPF_JMP_JA, 3 + narrow.len() as u32),
        Instruction { code: BPF_JMP_JEQ, jt: 1, jf: 0, k: audit_arch(Abi::I386) },
        plain(BPF_RET, SECCOMP_RET_ALLOW),
        plain(BPF_LD_W_ABS, NUMBER),
    ];
    filter.extend(narrow);
    filter.extend(wide);
    filter.extend(x32);
    filter
}

/// Finds the loaded number among sorted rules by binary search.
fn search(abi: Abi, rules: &[Rule]) -> Vec<Instruction> {
    if rules.len() <= 2 {
        let mut found: Vec<Instruction> = rules.iter().flat_map(|rule| leaf(abi, rule)).collect();
        found.push(plain(BPF_RET, SECCOMP_RET_ALLOW));
        return found;
    }
    let (low, high) = rules.split_at(rules.len() / 2);
    let [low_search, high_search] = [low, high].map(|half| search(abi, half));
    let last = low.last().map_or(0, |rule| rule.number);
    // Numbers above `last` skip a jump of any length.
    let mut both = vec![
        Instruction { code: BPF_JMP_JGT, jt: 0, jf: 1, k: last },
        plain(BPF_JMP_JA, low_search.len() as u32),
    ];
    both.extend(low_search);
    both.extend(high_search);
    both
}

/// Returns if the number is the rule's, otherwise continues after it.
fn leaf(abi: Abi, rule: &Rule) -> Vec<Instruction> {
    let decides = rule.calls.iter().find_map(|call| call.counts.argument());
    let load = |index: u8| plain(BPF_LD_W_ABS, ARGS + 8 * u32::from(index));
    let mut body: Vec<Instruction> = decides.map(load).into_iter().collect();
    for call in &rule.calls {
        let stop = stop(abi, call.meaning);
        match call.counts {
            Counts::Not(_, number) => {
                body.extend([
                    test(BPF_JMP_JEQ, number, 1),
                    plain(BPF_RET, SECCOMP_RET_ALLOW),
                    stop,
                ]);
            }
            Counts::In(..) | Counts::Advice(_) => {
                for (first, last) in call.counts.ranges() {
                    if first == last {
                        body.extend([test(BPF_JMP_JEQ, first, 1), stop]);
                    } else {
                        body.push(test(BPF_JMP_JGE, first, 2));
                        body.push(Instruction { code: BPF_JMP_JGT, jt: 1, jf: 0, k: last });
                        body.push(stop);
                    }
                }
            }
            _ => body.push(stop),
        }
    }
    if decides.is_some() {
        body.push(plain(BPF_RET, SECCOMP_RET_ALLOW));
    }
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut leaf = vec![test(BPF_JMP_JEQ, rule.number, length)];
    leaf.append(&mut body);
    leaf
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::calls::find;

    /// The filter's return value, and whether it loaded an argument.
    fn run(filter: &[Instruction], arch: u32, number: u32, args: &[u64; 6]) -> (u32, bool) {
        let (mut at, mut a, mut looked) = (0, 0, false);
        loop {
            let Instruction { code, jt, jf, k } = filter[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            match code {
                BPF_LD_W_ABS if k == NUMBER => a = number,
                BPF_LD_W_ABS if k == ARCH => a = arch,
                BPF_LD_W_ABS => {
                    looked = true;
                    a = args[(k - ARGS) as usize / 8] as u32;
                }
                BPF_ALU_AND => a &= k,
                BPF_JMP_JA => at += k as usize,
                BPF_JMP_JEQ => at += jump(a == k),
                BPF_JMP_JGT => at += jump(a > k),
                BPF_JMP_JGE => at += jump(a >= k),
                BPF_RET => return (k, looked),
                _ => panic!("no such instruction: {code:x}"),
            }
        }
    }

    #[test]
    fn every_number_of_every_abi_does_what_its_rule_says() {
        let filter = filter();
        assert!(filter.len() < 4096);
        let words = [0, 1, 2, 3, 4, 8, 10, 19, 20, 21, 22, 23, 24, 35, 67, 102, 0x5001, 0x5003];
        let words = words.into_iter().chain([41, 65, 103, 104, 0x2000, 0x2001, 0x2003, 0x2004]);
        let words = words.into_iter().chain([0x5356_4d41, 0xffff_ffff, 0xc020_aa00, 0x0080_0011]);
        for word in words {
            let args = [word, word, word, word, 0, 0];
            for abi in ABIS {
                let rules = rules(abi);
                let bit = if abi == Abi::X32 { X32_SYSCALL_BIT } else { 0 };
                for number in (0..600).chain([0x3fff_ffff]) {
                    let stops = find(abi, u64::from(number | bit), &args)
                        .filter(|call| call.meaning != Meaning::Vfork);
                    let (action, looked) = run(&filter, audit_arch(abi), number | bit, &args);
                    let expect = stops.map_or(SECCOMP_RET_ALLOW, |call| {
                        SECCOMP_RET_TRACE | u32::from(data(abi, call.meaning))
                    });
                    assert_eq!(action, expect, "{abi:?} {number} {word:x}");
                    let rule = rules.iter().find(|rule| rule.number == number);
                    let decides = |rule: &Rule| rule.calls[0].counts != Counts::Always;
                    assert_eq!(looked, rule.is_some_and(decides));
                }
            }
        }
        let (action, looked) = run(&filter, 0xc000_00b7, 9, &[0; 6]);
        assert_eq!((action, looked), (SECCOMP_RET_ALLOW, false));
    }
}
