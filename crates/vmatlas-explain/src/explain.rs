//! Finds the cause of a crash and explains it.
//!
//! [`Fault::of`] finds the access, from the instruction and the registers if the source does not
//! record it. [`explain`] finds the cause. Both work with partial input: a kernel log line has no
//! maps, an address of a live process no instruction. With less input, the explanation contains
//! less.
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

mod aborts;
mod access;
mod around;
mod cause;
mod checks;
mod fault;
pub mod instruction;
mod null;
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
use vmatlas_maps::Perms;
use vmatlas_maps::{AddressRange, Maps};
use vmatlas_object::Memory;

/// The input of [`explain`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Evidence<'a> {
    /// The crash.
    pub crash: &'a Crash,
    /// The mappings: those of the crash, or those of a better source.
    pub maps: &'a Maps,
    /// The access, from [`Fault::of`].
    pub fault: Fault,
    /// The facts of the process.
    pub facts: &'a Facts,
    /// The labels of its mappings.
    pub labels: &'a Labels,
    /// Its memory, if readable.
    pub memory: Option<&'a dyn Memory>,
    /// More facts about the accessed address.
    pub place: PlaceFacts,
    /// The last change at the address, if the program was recorded.
    pub change: Option<LastChange>,
    /// The functions on the stack of the thread, innermost first.
    pub functions: Vec<String>,
}

impl<'a> Evidence<'a> {
    /// Evidence from a crash and its process only; the other fields are empty.
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

/// Facts about the accessed address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaceFacts {
    /// The current size in bytes of the file mapped there.
    pub file_size: Option<u64>,
    /// The section of the ELF file that contains the address.
    pub section: Option<String>,
    /// The nearest symbol at or below the address, and the offset from it in bytes.
    pub symbol: Option<(String, u64)>,
}

/// The last recorded change at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastChange {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The origin of the change (process, time, call stack), as text to follow `by`.
    pub by: String,
    /// The mapping before the change, as text.
    pub was: String,
    /// The addresses that the change took away, if known.
    pub range: Option<AddressRange>,
}

impl LastChange {
    /// A change of this kind, with its origin and the previous mapping.
    pub fn new(kind: ChangeKind, by: String, was: String) -> LastChange {
        LastChange { kind, by, was, range: None }
    }
}

/// A change that makes later accesses fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It was unmapped.
    Unmapped,
    /// It was moved to this address.
    Moved(u64),
    /// A new mapping replaced it.
    Replaced,
    /// Its permissions were changed from these.
    Protected(Perms),
}

/// The cause of a crash, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The cause.
    pub cause: Cause,
    /// The conclusion in one sentence.
    pub conclusion: String,
    /// The full explanation as a paragraph: the attempted access, the mapping there, and why the
    /// access failed. It may contain names that the process chose: escape it for terminals.
    pub paragraph: String,
    /// How reliable the conclusion is.
    pub confidence: Confidence,
    /// The evidence for the conclusion, in one line.
    pub because: String,
    /// Whether the rows of the map show what is at the address: not if rows of a log are missing.
    pub map_shows_address: bool,
    /// The known facts as name and value, in reading order.
    pub facts: Vec<(&'static str, String)>,
}

/// The result of a rule.
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

/// Finds the cause of a crash.
pub fn explain(evidence: &Evidence<'_>) -> Explanation {
    let conclusion = signals::of_handler(evidence)
        .or_else(|| report::conclude(evidence))
        .or_else(|| signals::conclude(evidence))
        .or_else(|| access::conclude(evidence))
        .unwrap_or_else(|| unknown(evidence));
    let is_conditional = evidence.fault.tagged.as_ref().is_some_and(words::is_conditional);
    Explanation {
        paragraph: words::paragraph(evidence, &conclusion),
        facts: words::facts(evidence),
        map_shows_address: evidence.fault.address.is_none_or(|address| {
            evidence.maps.find(address).mapping.is_some() || access::shows_gap(evidence, address)
        }),
        cause: conclusion.cause,
        conclusion: conclusion.sentence,
        confidence: match conclusion.confidence {
            Confidence::Certain if is_conditional => Confidence::Likely,
            confidence => confidence,
        },
        because: conclusion.because,
    }
}

fn unknown(evidence: &Evidence<'_>) -> Conclusion {
    let row = evidence.fault.address.and_then(|at| evidence.maps.find(at).mapping);
    let row = row.and_then(|at| evidence.maps.get(at)).filter(|_| evidence.crash.signal.is_none());
    let (sentence, because) = match row {
        Some(row) => {
            let has_file = row.inode != 0 || row.name.starts_with(b"/");
            let unless = if has_file {
                ", unless nothing of the file is behind it (SIGBUS), as beyond its end"
            } else {
                ""
            };
            (
                format!(
                    "The mapping permits it ({}): an access there does not fail{unless}.",
                    row.perms
                ),
                "the permissions of the mapping".to_owned(),
            )
        }
        None if report::ends_program(evidence) => {
            return Conclusion::new(
                Cause::Abort,
                Confidence::Likely,
                "The program ended itself then.",
                "the report is one of an error after which the program cannot go on",
            );
        }
        None if report::quote(evidence, Cause::Unknown).is_some() => (
            "The source gives no further reason.".to_owned(),
            "no rule fits the words of the report".to_owned(),
        ),
        None => (
            "The evidence does not explain the crash.".to_owned(),
            "no rule fits the facts of the source".to_owned(),
        ),
    };
    Conclusion::new(Cause::Unknown, Confidence::Guess, sentence, because)
}

/// Bytes of a name as text.
fn name(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
