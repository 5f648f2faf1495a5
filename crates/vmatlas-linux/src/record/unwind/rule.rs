//! Rows of tables in the form in which they are kept.

use super::arch;
use super::memory::ReadMemory;
use super::rows::Caller;
use super::state::State;
use super::table::Row;
use gimli::{CfaRule, RegisterRule};

/// How to get from a place in the code to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Registers are saved at fixed distances, as nearly everywhere.
    Saved(Saved),
    /// Nothing called this.
    Root,
    /// The row has to be looked at each time.
    Row,
    /// A signal handler returned to this, and there is no table for it.
    Trampoline,
    /// There is no table for it.
    None,
}

/// Registers saved at fixed distances from the canonical frame address (CFA), the stack pointer
/// before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Saved {
    /// The CFA is this register plus these bytes.
    base: u8,
    distance: i32,
    /// Where the return address is, in words from the CFA.
    return_address: i8,
    /// Where each of [`arch::CALLEE_SAVED`] is, in words from the CFA; 0 if it still is in its
    /// register.
    registers: [i8; arch::CALLEE_SAVED.len()],
}

impl Rule {
    pub(super) fn of(row: &Row<'_>) -> Rule {
        match row.row.register(gimli::Register(arch::IP as u16)) {
            None | Some(RegisterRule::Undefined) => Rule::Root,
            Some(_) => Saved::of(row).map_or(Rule::Row, Rule::Saved),
        }
    }
}

impl Saved {
    /// None where the row says anything else.
    fn of(row: &Row<'_>) -> Option<Saved> {
        let CfaRule::RegisterAndOffset { register, offset } = *row.row.cfa() else { return None };
        if row.is_signal {
            return None;
        }
        let words = |offset: i64| (offset % 8 == 0).then(|| i8::try_from(offset / 8).ok())?;
        let mut saved = Saved {
            base: u8::try_from(arch::index(register)?).ok()?,
            distance: i32::try_from(offset).ok()?,
            return_address: 0,
            registers: [0; arch::CALLEE_SAVED.len()],
        };
        for (register, rule) in row.row.registers() {
            let index = arch::index(*register);
            let place = match arch::CALLEE_SAVED.iter().position(|kept| Some(*kept) == index) {
                Some(place) => &mut saved.registers[place],
                None if index == Some(arch::IP) => &mut saved.return_address,
                None if index == Some(arch::SP) => return None,
                // Nothing is said of the others that a caller could still want to know.
                None => continue,
            };
            *place = match rule {
                RegisterRule::SameValue => continue,
                RegisterRule::Offset(offset) => words(*offset).filter(|&words| words != 0)?,
                _ => return None,
            };
        }
        (saved.return_address != 0).then_some(saved)
    }

    /// Goes to the caller.
    #[inline]
    pub(super) fn caller(&self, state: &mut State, memory: &mut impl ReadMemory) -> Caller {
        let Some(base) = state.get(usize::from(self.base)) else { return Caller::Unknown };
        let cfa = base.wrapping_add_signed(i64::from(self.distance));
        let place = |words: i8| cfa.wrapping_add_signed(i64::from(words) * 8);
        let ip = match memory.word(place(self.return_address)) {
            Some(0) => return Caller::None,
            None => return Caller::Unreadable,
            ip => ip,
        };
        let sp = state.sp();
        state.keep();
        for (index, &words) in arch::CALLEE_SAVED.into_iter().zip(&self.registers) {
            if words != 0 {
                let saved = memory.word(place(words));
                // Below the stack pointer are registers that were popped already, of which a copy
                // of the stack has nothing: they have their value again.
                if saved.is_some() || place(words) >= sp {
                    state.set(index, saved);
                }
            }
        }
        state.set(arch::SP, Some(cfa));
        state.set(arch::IP, ip);
        Caller::Found { exact: false }
    }
}
