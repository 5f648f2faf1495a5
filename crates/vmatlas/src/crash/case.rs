//! A crash and its explanation.

use crate::note::Note;
use vmatlas_explain::crash::Crash;
use vmatlas_explain::explain::{Evidence, Explanation, Fault, explain};
use vmatlas_linux::symbols::SymbolFrame;
use vmatlas_maps::Maps;

/// A crash and its explanation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Case {
    /// The crash as the source reports it.
    pub crash: Crash,
    /// The access that failed.
    pub fault: Fault,
    /// The rows at the moment of the crash.
    pub maps: Maps,
    /// The cause of the crash.
    pub explanation: Explanation,
    /// The stack of the thread, innermost first.
    pub stack: Vec<SymbolFrame>,
    /// The number of the first frame that was found by scanning the stack: it and the frames after
    /// it may be left over from earlier calls.
    pub guessed_from: Option<usize>,
    /// Notes about memory that could not be read and may be missing.
    pub notes: Vec<Note>,
}

impl Case {
    /// Explains the evidence.
    pub(super) fn of(evidence: &Evidence<'_>, stack: Vec<SymbolFrame>) -> Case {
        Case {
            explanation: explain(evidence),
            crash: evidence.crash.clone(),
            fault: evidence.fault.clone(),
            maps: evidence.maps.clone(),
            stack,
            guessed_from: None,
            notes: Vec::new(),
        }
    }
}
