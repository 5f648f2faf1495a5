//! Rows of unwind tables in compact form.

use super::arch;
use super::memory::ReadMemory;
use super::rows::Caller;
use super::state::State;
use super::table::Row;
use gimli::{
    CfaRule, EndianSlice, LittleEndian, Reader as _, Register, RegisterRule, UnwindExpression,
};

/// How to get from a code address to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Registers are saved at fixed offsets, the common case.
    Saved(Saved),
    /// The function has no caller.
    Root,
    /// The row is too complex and is read from the table each time.
    Row,
    /// The code to which a signal handler returns, without a table.
    Trampoline,
    /// The address has no table.
    None,
}

/// Registers saved at fixed offsets from the canonical frame address (CFA), which is the stack
/// pointer before the call, or from the base register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Saved {
    /// The CFA is this register plus these bytes.
    base: u8,
    distance: i32,
    /// The CFA is stored at that address instead, and the registers are saved at offsets from
    /// `base`. gcc does this where it realigns the stack pointer (DRAP, as in code with vectors on
    /// the stack).
    indirect: bool,
    /// Offset of the return address from the CFA, in words.
    return_address: i8,
    /// Offset of each of [`arch::CALLEE_SAVED`], in words.
    registers: [i8; arch::CALLEE_SAVED.len()],
}

/// The register still has its value.
const IN_PLACE: i8 = i8::MIN;

impl Rule {
    pub(super) fn of(row: &Row<'_>) -> Rule {
        match row.row.register(gimli::Register(arch::IP as u16)) {
            None | Some(RegisterRule::Undefined) => Rule::Root,
            Some(_) => Saved::of(row).map_or(Rule::Row, Rule::Saved),
        }
    }
}

impl Saved {
    /// `None` if the row cannot be expressed in this form.
    fn of(row: &Row<'_>) -> Option<Saved> {
        if row.is_signal {
            return None;
        }
        let (indirect, (base, distance)) = match *row.row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => (false, (register, offset)),
            CfaRule::Expression(expression) => (true, based(row, expression, true)?),
        };
        let mut saved = Saved {
            base: u8::try_from(arch::index(base)?).ok()?,
            distance: i32::try_from(distance).ok()?,
            indirect,
            return_address: IN_PLACE,
            registers: [IN_PLACE; arch::CALLEE_SAVED.len()],
        };
        for (register, rule) in row.row.registers() {
            let index = arch::index(*register);
            let is_ip = index == Some(arch::IP);
            let place = match arch::CALLEE_SAVED.iter().position(|kept| Some(*kept) == index) {
                Some(place) => &mut saved.registers[place],
                None if is_ip => &mut saved.return_address,
                None if index == Some(arch::SP) => return None,
                // No rule for a register that a caller could need.
                None => continue,
            };
            let offset = match *rule {
                RegisterRule::SameValue => continue,
                RegisterRule::Offset(offset) if !indirect || is_ip => offset,
                RegisterRule::Expression(expression) if indirect && !is_ip => {
                    let (register, offset) = based(row, expression, false)?;
                    (register == base).then_some(offset)?
                }
                _ => return None,
            };
            if offset % 8 != 0 {
                return None;
            }
            *place = i8::try_from(offset / 8).ok().filter(|&words| words != IN_PLACE)?;
        }
        (saved.return_address != IN_PLACE).then_some(saved)
    }

    /// Restores the caller's registers.
    #[inline]
    pub(super) fn caller(&self, state: &mut State, memory: &mut impl ReadMemory) -> Caller {
        let Some(base) = state.get(usize::from(self.base)) else { return Caller::Unknown };
        let mut cfa = base.wrapping_add_signed(i64::from(self.distance));
        let mut saved_from = cfa;
        if self.indirect {
            let Some(word) = memory.word(cfa) else { return Caller::Unreadable };
            (cfa, saved_from) = (word, base);
        }
        let place = |from: u64, words: i8| from.wrapping_add_signed(i64::from(words) * 8);
        let ip = match memory.word(place(cfa, self.return_address)) {
            Some(0) => return Caller::None,
            None => return Caller::Unreadable,
            ip => ip,
        };
        let sp = state.sp();
        state.keep();
        for (index, &words) in arch::CALLEE_SAVED.into_iter().zip(&self.registers) {
            if words != IN_PLACE {
                let at = place(saved_from, words);
                let saved = memory.word(at);
                // Registers saved below the stack pointer were popped already and are not in a copy
                // of the stack: they have their value again.
                if saved.is_some() || at >= sp {
                    state.set(index, saved);
                }
            }
        }
        state.set(arch::SP, Some(cfa));
        state.set(arch::IP, ip);
        Caller::Found { exact: false }
    }
}

/// The register and the offset, if the expression is only their sum (`DW_OP_bregN`) or loads from
/// that address (followed by `DW_OP_deref`).
fn based(
    row: &Row<'_>,
    UnwindExpression { offset, length }: UnwindExpression<usize>,
    deref: bool,
) -> Option<(Register, i64)> {
    let bytes = row.bytes.get(offset..)?.get(..length)?;
    let mut code = EndianSlice::new(bytes, LittleEndian);
    let register = code.read_u8().ok()?.checked_sub(gimli::DW_OP_breg0.0)?;
    let distance = code.read_sleb128().ok()?;
    let is_deref = !deref || code.read_u8().ok()? == gimli::DW_OP_deref.0;
    let register = (register < 32).then(|| Register(u16::from(register)))?;
    (is_deref && code.is_empty()).then_some((register, distance))
}
