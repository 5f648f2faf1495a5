//! Why a program crashed, from what is known of the crash and of its memory.
//!
//! [`Fault::of`] finds the access, by the instruction and the registers where the source does not
//! tell it; [`explain`] finds the reason. Both take whatever there is: a line of the kernel's log
//! has no map, an address of a live process no instruction. The less is known, the less is said.
//!
//! ```
//! use vmatlas_explain::crash::Crash;
//! use vmatlas_explain::explain::{Cause, Evidence, Fault, explain};
//! use vmatlas_explain::label::{Facts, Labels};
//!
//! let mut crash = Crash::default();
//! (crash.signal, crash.code, crash.address) = (Some(11), Some(1), Some(0x10));
//! let (facts, labels) = (Facts::default(), Labels::default());
//! let mut evidence = Evidence::new(&crash, &facts, &labels);
//! evidence.fault = Fault::of(&crash, None);
//! assert_eq!(explain(&evidence).cause, Cause::NullPointer);
//! ```

mod access;
mod around;
mod cause;
mod fault;
pub mod instruction;
mod pointer;
mod report;
pub mod signal_words;
mod signals;
mod stack;
mod values;
mod words;

pub use around::{Around, around};
pub use cause::Cause;
pub use fault::Fault;

use crate::crash::Crash;
use crate::label::{Confidence, Facts, Labels};
use std::borrow::Cow;
use vmatlas_maps::Maps;
use vmatlas_maps::Perms;
use vmatlas_object::Memory;

/// What a crash is explained from.
#[derive(Clone)]
#[non_exhaustive]
pub struct Evidence<'a> {
    /// The crash.
    pub crash: &'a Crash,
    /// The mappings; those of the crash, unless a better source has them.
    pub maps: &'a Maps,
    /// The access, see [`Fault::of`].
    pub fault: Fault,
    /// What is known of the process.
    pub facts: &'a Facts,
    /// What its mappings are for.
    pub labels: &'a Labels,
    /// Its memory.
    pub memory: Option<&'a dyn Memory>,
    /// What is known of the place of the access besides its row.
    pub place: PlaceFacts,
    /// What last happened to the address, if the program was recorded.
    pub change: Option<LastChange>,
    /// The functions on the stack of the thread, innermost first.
    pub functions: Vec<String>,
}

impl<'a> Evidence<'a> {
    /// No more than a crash and what is known of its process.
    pub fn new(crash: &'a Crash, facts: &'a Facts, labels: &'a Labels) -> Evidence<'a> {
        Evidence {
            crash,
            maps: &crash.maps,
            fault: Fault::default(),
            facts,
            labels,
            memory: None,
            place: PlaceFacts::default(),
            change: None,
            functions: crash
                .frames
                .iter()
                .map(|frame| frame.function.clone())
                .filter(|name| !name.is_empty())
                .collect(),
        }
    }
}

/// What is known of the place of an access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaceFacts {
    /// The size of the file that is mapped there in bytes, as it is today.
    pub file_size: Option<u64>,
    /// The section of the ELF file.
    pub section: Option<String>,
    /// The nearest symbol below and the bytes from it on.
    pub symbol: Option<(String, u64)>,
}

/// What a recording tells that last happened to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastChange {
    /// What.
    pub kind: ChangeKind,
    /// Who did it, when and from where, in words that follow `by`.
    pub by: String,
    /// What was mapped there before, in words.
    pub was: String,
}

impl LastChange {
    /// A change of this kind, by whom, to what.
    pub fn new(kind: ChangeKind, by: String, was: String) -> LastChange {
        LastChange { kind, by, was }
    }
}

/// What can happen to a mapping so that an access to it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It was unmapped.
    Unmapped,
    /// It was moved to this address.
    Moved(u64),
    /// Its permissions were these and were changed.
    Protected(Perms),
}

/// Why a program crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The cause.
    pub cause: Cause,
    /// The conclusion in a sentence.
    pub conclusion: String,
    /// All of it in a paragraph for people: what was tried, what is there, why that failed. It may
    /// hold names that the process chose: escape it for terminals.
    pub paragraph: String,
    /// How far the conclusion can be trusted.
    pub confidence: Confidence,
    /// The evidence for it, in a line.
    pub because: String,
    /// What is known, name and value, in the order in which people read it.
    pub facts: Vec<(&'static str, String)>,
}

/// What a rule concludes.
#[derive(Clone, Debug)]
struct Conclusion {
    cause: Cause,
    sentence: String,
    because: String,
    confidence: Confidence,
}

impl Conclusion {
    fn new(
        cause: Cause,
        confidence: Confidence,
        sentence: impl Into<String>,
        because: impl Into<String>,
    ) -> Conclusion {
        Conclusion { cause, sentence: sentence.into(), because: because.into(), confidence }
    }
}

/// Explains a crash.
pub fn explain(evidence: &Evidence<'_>) -> Explanation {
    let conclusion = report::conclude(evidence)
        .or_else(|| signals::conclude(evidence))
        .or_else(|| access::conclude(evidence))
        .unwrap_or_else(|| unknown(evidence));
    Explanation {
        paragraph: words::paragraph(evidence, &conclusion),
        facts: words::facts(evidence),
        cause: conclusion.cause,
        conclusion: conclusion.sentence,
        confidence: conclusion.confidence,
        because: conclusion.because,
    }
}

fn unknown(evidence: &Evidence<'_>) -> Conclusion {
    let row = evidence.fault.address.and_then(|at| evidence.maps.find(at).mapping);
    let row = row.and_then(|at| evidence.maps.get(at)).filter(|_| evidence.crash.signal.is_none());
    let (sentence, because) = match row {
        Some(row) => (
            format!("The mapping permits it ({}): an access there does not fail.", row.perms),
            "the permissions of the mapping".to_owned(),
        ),
        None => (
            "The evidence does not explain the crash.".to_owned(),
            "no rule fits the facts of the source".to_owned(),
        ),
    };
    Conclusion::new(Cause::Unknown, Confidence::Guess, sentence, because)
}

/// A name of bytes as text.
fn name(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
