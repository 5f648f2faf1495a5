//! The filter of system calls that a recorded program gets: what can change an address space
//! stops, all else runs on.
//!
//! The kernel runs a filter once for each number when it is installed, and where it allows without
//! having looked at an argument, it is never run for that number again (Linux 5.11). So arguments
//! are loaded for the numbers only of which some calls count.
//!
//! # References
//! seccomp(2); Linux 6.18 `kernel/seccomp.c` (`seccomp_is_const_allow`).

use super::calls::{Abi, Meaning, Rule, When, X32_BIT, rules};
use crate::sys::seccomp::Instruction;

/// In the data of our stops, to tell them from those that a filter of the program's asks for. The
/// low bits are the ABI.
const DATA: u16 = 0x5a30;
/// In the data of calls that stop for another reason than that they may change an address space.
const WATCHED: u16 = 4;

const RET_TRACE: u32 = 0x7ff0_0000;
const RET_ALLOW: u32 = 0x7fff_0000;
/// Places in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// BPF_LD|BPF_W|BPF_ABS and the like of linux/bpf_common.h.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// Jumps over `no` instructions if what `code` compares does not hold.
fn test(code: u16, k: u32, no: u8) -> Instruction {
    Instruction { code, jt: 0, jf: no, k }
}

/// What a call of a rule returns.
fn stop(abi: Abi, meaning: Meaning) -> Instruction {
    plain(RETURN, RET_TRACE | u32::from(data(abi, meaning)))
}

fn data(abi: Abi, meaning: Meaning) -> u16 {
    let watched = matches!(meaning, Meaning::Clone | Meaning::Ptrace | Meaning::Seccomp);
    DATA | abi as u16 | if watched { WATCHED } else { 0 }
}

/// The ABI that is in a stop's data, and whether the call may change an address space, if the stop
/// is ours.
pub(crate) fn abi(data: u64) -> Option<(Abi, bool)> {
    let ours = data & !u64::from(3 | WATCHED) == u64::from(DATA);
    let abi = Abi::ALL.into_iter().find(|&abi| data & 3 == abi as u64).filter(|_| ours)?;
    Some((abi, data & u64::from(WATCHED) == 0))
}

/// The filter.
pub(crate) fn filter() -> Vec<Instruction> {
    let [wide, narrow, x32] = [Abi::X86_64, Abi::I386, Abi::X32].map(|abi| {
        let mut sorted = rules(abi).to_vec();
        sorted.sort_unstable_by_key(|rule| rule.number);
        search(abi, &sorted)
    });
    let mut filter = vec![
        plain(LOAD, ARCH),
        // Most calls are of this one. Subtrees are longer than a conditional jump reaches.
        test(JUMP_EQUAL, Abi::X86_64.audit_arch(), 5),
        plain(LOAD, NUMBER),
        test(JUMP_GREATER_OR_EQUAL, X32_BIT, 2),
        plain(AND, !X32_BIT),
        plain(JUMP, 4 + wide.len() as u32 + narrow.len() as u32),
        plain(JUMP, 3 + narrow.len() as u32),
        Instruction { code: JUMP_EQUAL, jt: 1, jf: 0, k: Abi::I386.audit_arch() },
        plain(RETURN, RET_ALLOW),
        plain(LOAD, NUMBER),
    ];
    filter.extend(narrow);
    filter.extend(wide);
    filter.extend(x32);
    filter
}

/// Finds the number that has been loaded among sorted rules, by halves.
fn search(abi: Abi, rules: &[Rule]) -> Vec<Instruction> {
    if rules.len() <= 2 {
        let mut found: Vec<Instruction> = rules.iter().flat_map(|rule| leaf(abi, rule)).collect();
        found.push(plain(RETURN, RET_ALLOW));
        return found;
    }
    let (low, high) = rules.split_at(rules.len() / 2);
    let [low_search, high_search] = [low, high].map(|half| search(abi, half));
    let last = low.last().map_or(0, |rule| rule.number);
    // The numbers above `last` jump over a jump of any length.
    let mut both = vec![
        Instruction { code: JUMP_GREATER, jt: 0, jf: 1, k: last },
        plain(JUMP, low_search.len() as u32),
    ];
    both.extend(low_search);
    both.extend(high_search);
    both
}

/// Returns if the number is the rule's, and goes on behind if not.
fn leaf(abi: Abi, rule: &Rule) -> Vec<Instruction> {
    let low_word = |index: u8| plain(LOAD, ARGS + 8 * u32::from(index));
    let mut body = match rule.when {
        When::Always => Vec::new(),
        When::In(index, ranges) => {
            let mut body = vec![low_word(index)];
            for &(first, last) in ranges {
                if first == last {
                    body.extend([test(JUMP_EQUAL, first, 1), stop(abi, rule.meaning)]);
                } else {
                    body.push(test(JUMP_GREATER_OR_EQUAL, first, 2));
                    body.push(Instruction { code: JUMP_GREATER, jt: 1, jf: 0, k: last });
                    body.push(stop(abi, rule.meaning));
                }
            }
            body.push(plain(RETURN, RET_ALLOW));
            body
        }
        When::Not(index, number) => {
            vec![low_word(index), test(JUMP_EQUAL, number, 1), plain(RETURN, RET_ALLOW)]
        }
    };
    if !matches!(rule.when, When::In(..)) {
        body.push(stop(abi, rule.meaning));
    }
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut leaf = vec![test(JUMP_EQUAL, rule.number, length)];
    leaf.append(&mut body);
    leaf
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a filter returns, and whether it looked at an argument.
    fn run(filter: &[Instruction], arch: u32, number: u32, args: &[u64; 6]) -> (u32, bool) {
        let (mut at, mut a, mut looked) = (0, 0, false);
        loop {
            let Instruction { code, jt, jf, k } = filter[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            match code {
                LOAD if k == NUMBER => a = number,
                LOAD if k == ARCH => a = arch,
                LOAD => {
                    looked = true;
                    a = args[(k - ARGS) as usize / 8] as u32;
                }
                AND => a &= k,
                JUMP => at += k as usize,
                JUMP_EQUAL => at += jump(a == k),
                JUMP_GREATER => at += jump(a > k),
                JUMP_GREATER_OR_EQUAL => at += jump(a >= k),
                RETURN => return (k, looked),
                _ => panic!("no such instruction: {code:x}"),
            }
        }
    }

    #[test]
    fn every_number_of_every_abi_does_what_its_rule_says() {
        let filter = filter();
        assert!(filter.len() < 4096);
        let words = [0, 1, 2, 3, 4, 8, 10, 19, 20, 21, 22, 23, 35, 67, 102, 0x5001, 0x5003];
        let words = words.into_iter().chain([0x5356_4d41, 0xffff_ffff, 0xc020_aa00, 0x0080_0011]);
        for word in words {
            let args = [word, word, word, word, 0, 0];
            for abi in Abi::ALL {
                let bit = if abi == Abi::X32 { X32_BIT } else { 0 };
                for number in (0..600).chain([0x3fff_ffff]) {
                    let rule = super::super::calls::rule(abi, u64::from(number));
                    let stops = rule.is_some_and(|rule| rule.when.holds(&args));
                    let (action, looked) = run(&filter, abi.audit_arch(), number | bit, &args);
                    let stopped = rule.map_or(0, |rule| u32::from(data(abi, rule.meaning)));
                    let expect = if stops { RET_TRACE | stopped } else { RET_ALLOW };
                    assert_eq!(action, expect, "{abi:?} {number} {word:x}");
                    assert_eq!(looked, rule.is_some_and(|rule| rule.when != When::Always));
                }
            }
        }
        let (action, looked) = run(&filter, 0xc000_00b7, 9, &[0; 6]);
        assert_eq!((action, looked), (RET_ALLOW, false));
    }
}
