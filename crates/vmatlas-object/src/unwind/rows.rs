//! Evaluates a full table row to get from one frame to the next: expressions, and frames that a
//! signal interrupted.

use super::arch;
use super::memory::ReadMemory;
use super::state::State;
use super::table::{Bytes, Row};
use gimli::{
    CfaRule, EndianSlice, Evaluation, EvaluationResult, EvaluationStorage, LittleEndian, Location,
    Piece, Register, RegisterRule, UnwindExpression, Value,
};

/// Operations in an expression, which can loop. Real tables have up to ten.
const OPERATIONS: u32 = 256;

/// Storage for expressions without allocation.
struct Storage;

impl<'a> EvaluationStorage<Bytes<'a>> for Storage {
    type Stack = [Value; 32];
    type ExpressionStack = [(Bytes<'a>, Bytes<'a>); 1];
    type Result = [Piece<Bytes<'a>>; 1];
}

/// The result of applying a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caller {
    /// The caller's registers replaced those of the frame. `exact` if the caller was interrupted
    /// and did not make a call.
    Found { exact: bool },
    /// The frame has no caller. The registers stay unchanged here and in the cases below.
    None,
    /// The row needs memory that cannot be read.
    Unreadable,
    /// The row needs unknown registers or is invalid.
    Unknown,
}

impl Row<'_> {
    /// Restores the caller's registers.
    pub(super) fn caller(&self, state: &mut State, memory: &mut impl ReadMemory) -> Caller {
        match self.caller_of(state, memory) {
            Ok(caller) if caller.ip() == 0 => Caller::None,
            Ok(caller) => {
                *state = caller;
                Caller::Found { exact: self.is_signal }
            }
            Err(why) => why,
        }
    }

    /// The caller's registers; the instruction pointer is 0 if there is no caller.
    fn caller_of(&self, state: &State, memory: &mut impl ReadMemory) -> Result<State, Caller> {
        let cfa = match self.row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let base = arch::index(*register).and_then(|index| state.get(index));
                base.ok_or(Caller::Unknown)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => self.evaluate(*expression, None, state, memory)?,
        };
        let mut caller = *state;
        caller.keep();
        caller.set(arch::SP, Some(cfa));
        caller.set(arch::IP, Some(0));
        for (register, rule) in self.row.registers() {
            let Some(index) = arch::index(*register) else { continue };
            let value = match self.value(rule, index, cfa, state, memory) {
                Ok(value) => value,
                // Other registers that cannot be restored become unknown.
                Err(why) if index == arch::IP || index == arch::SP => return Err(why),
                Err(_) => None,
            };
            match value {
                None if index == arch::SP => return Err(Caller::Unknown),
                None if index == arch::IP => {}
                value => caller.set(index, value),
            }
        }
        Ok(caller)
    }

    fn value(
        &self,
        rule: &RegisterRule<usize>,
        index: usize,
        cfa: u64,
        state: &State,
        memory: &mut impl ReadMemory,
    ) -> Result<Option<u64>, Caller> {
        let load = |memory: &mut _, address| {
            ReadMemory::word(memory, address).map(Some).ok_or(Caller::Unreadable)
        };
        match rule {
            RegisterRule::SameValue => Ok(state.get(index)),
            RegisterRule::Offset(offset) => load(memory, cfa.wrapping_add_signed(*offset)),
            RegisterRule::ValOffset(offset) => Ok(Some(cfa.wrapping_add_signed(*offset))),
            RegisterRule::Register(from) => {
                Ok(arch::index(*from).and_then(|index| state.get(index)))
            }
            RegisterRule::Expression(expression) => {
                let address = self.evaluate(*expression, Some(cfa), state, memory)?;
                load(memory, address)
            }
            RegisterRule::ValExpression(expression) => {
                self.evaluate(*expression, Some(cfa), state, memory).map(Some)
            }
            RegisterRule::Constant(value) => Ok(Some(*value)),
            _ => Ok(None),
        }
    }

    fn evaluate(
        &self,
        expression: UnwindExpression<usize>,
        initial: Option<u64>,
        state: &State,
        memory: &mut impl ReadMemory,
    ) -> Result<u64, Caller> {
        let UnwindExpression { offset, length } = expression;
        let end = offset.checked_add(length).ok_or(Caller::Unknown)?;
        let code = self.bytes.get(offset..end).ok_or(Caller::Unknown)?;
        let code = EndianSlice::new(code, LittleEndian);
        let mut evaluation = Evaluation::<_, Storage>::new_in(code, self.encoding);
        evaluation.set_max_iterations(OPERATIONS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate();
        loop {
            result = match result.map_err(|_| Caller::Unknown)? {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register: Register(number), .. } => {
                    let value = state.get(usize::from(number)).ok_or(Caller::Unknown)?;
                    evaluation.resume_with_register(Value::Generic(value))
                }
                EvaluationResult::RequiresMemory { address, size, space: None, .. } => {
                    let word = match size {
                        8 => memory.word(address),
                        4 => memory.half_word(address).map(u64::from),
                        _ => return Err(Caller::Unknown),
                    };
                    let word = word.ok_or(Caller::Unreadable)?;
                    evaluation.resume_with_memory(Value::Generic(word))
                }
                _ => return Err(Caller::Unknown),
            };
        }
        match evaluation.as_result() {
            [Piece { location: Location::Address { address }, .. }] => Ok(*address),
            _ => Err(Caller::Unknown),
        }
    }
}
