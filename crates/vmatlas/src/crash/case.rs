//! A crash and why it came to it.

use crate::note::Note;
use vmatlas_explain::crash::Crash;
use vmatlas_explain::explain::{Evidence, Explanation, Fault, explain};
use vmatlas_linux::symbols::SymbolFrame;
use vmatlas_maps::Maps;

/// A crash and why it came to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Case {
    /// The crash, as the source tells of it.
    pub crash: Crash,
    /// The access that failed.
    pub fault: Fault,
    /// The rows at that moment.
    pub maps: Maps,
    /// Why.
    pub explanation: Explanation,
    /// The stack of the thread, innermost first.
    pub stack: Vec<SymbolFrame>,
    /// What could not be read for it and may be missing.
    pub notes: Vec<Note>,
}

impl Case {
    /// Explains what the evidence is of.
    pub(super) fn of(evidence: &Evidence<'_>, stack: Vec<SymbolFrame>) -> Case {
        Case {
            explanation: explain(evidence),
            crash: evidence.crash.clone(),
            fault: evidence.fault.clone(),
            maps: evidence.maps.clone(),
            stack,
            notes: Vec::new(),
        }
    }
}
