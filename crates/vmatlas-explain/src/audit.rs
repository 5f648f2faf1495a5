//! What is wrong in a process: rules over rows, labels and facts.
//!
//! [`find`] applies the [rules](RULES) to one process. They read nothing themselves: the caller
//! gathers [`AuditFacts`], and labels the memory [without the names](without_names) that the program
//! chose, because a name proves nothing.
//!
//! ```
//! use vmatlas_explain::audit::{AuditFacts, AuditInput, find};
//! use vmatlas_explain::label::{Facts, Labels};
//! use vmatlas_maps::Maps;
//!
//! let maps = Maps::parse(b"7f0000000000-7f0000001000 rwxp 00000000 00:00 0\n")?;
//! let (labels, facts, audit) = (Labels::default(), Facts::default(), AuditFacts::default());
//! let input = AuditInput { maps: &maps, labels: &labels, facts: &facts, audit: &audit };
//! assert_eq!(find(&input)[0].rule.id, "wx");
//! # Ok::<(), vmatlas_maps::NoRowsError>(())
//! ```

mod anonymous;
mod facts;
mod files;
mod finding;
mod honest;
mod memory;
mod program;
mod rules;
mod sequences;
mod stacks;
mod text;

pub use facts::{
    AtPath, AuditFacts, CODE_MAKERS, ChangedPages, CodeFile, CodeMaker, Comparison, ElfFacts,
    Executable, MappedFile, Tracer, Who, Writer,
};
pub use files::written_and_executed;
pub use finding::{Finding, Severity};
pub use memory::names_a_secret;
pub use rules::{Group, RULES, Rule, rule};
pub use sequences::{Protection, find_sequences};

use crate::label::{Facts, Labels};
use vmatlas_maps::{Kind, Mapping, Maps};

/// A process to audit.
#[derive(Clone, Copy)]
pub struct AuditInput<'a> {
    /// Its rows.
    pub maps: &'a Maps,
    /// The labels of [its rows without names](without_names); none if
    /// [`wants_labels`] is false.
    pub labels: &'a Labels,
    /// The facts that labels are made from.
    pub facts: &'a Facts,
    /// The facts of the audit.
    pub audit: &'a AuditFacts,
}

impl<'a> AuditInput<'a> {
    fn rows(&self) -> impl Iterator<Item = (usize, Mapping<'a>)> + use<'a> {
        self.maps.iter().enumerate().filter(|(_, row)| !row.is_rollup())
    }

    /// The file of an executable row.
    fn file(&self, row: usize) -> Option<&'a MappedFile> {
        let index = (*self.audit.file_of_row.get(row)?)?;
        self.audit.files.get(index as usize)
    }

    fn page(&self) -> u64 {
        if self.facts.page_size == 0 { 4096 } else { self.facts.page_size }
    }

    fn has_persona(&self, bit: u64) -> bool {
        self.audit.personality.is_some_and(|persona| persona & bit != 0)
    }
}

/// Applies all rules to a process. The findings are in the order of the rules, then by address.
pub fn find(input: &AuditInput<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    anonymous::find(input, &mut found);
    stacks::find(input, &mut found);
    text::find(input, &mut found);
    files::find(input, &mut found);
    program::find(input, &mut found);
    memory::find(input, &mut found);
    let place = |finding: &Finding| RULES.iter().position(|rule| rule.id == finding.rule.id);
    found.sort_by_key(|finding| (place(finding), finding.range.map(|range| range.start)));
    bounded(found)
}

/// The most findings of a rule in a process. A hostile one has a million mappings.
const MAX_OF_RULE: usize = 256;

/// Keeps the most serious findings of each rule; the last one says how many were left out.
fn bounded(found: Vec<Finding>) -> Vec<Finding> {
    let mut kept = Vec::with_capacity(found.len());
    for of_rule in found.chunk_by(|a, b| a.rule.id == b.rule.id) {
        let mut of_rule = of_rule.to_vec();
        let more = of_rule.len().saturating_sub(MAX_OF_RULE);
        if more > 0 {
            of_rule.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
            of_rule.truncate(MAX_OF_RULE);
            if let Some(last) = of_rule.last_mut() {
                last.evidence.push_str(&format!("; {more} findings of this rule are left out"));
            }
        }
        kept.extend(of_rule);
    }
    kept
}

/// An exception of a policy that is out of date.
pub fn expired_exception(subject: &str, evidence: String) -> Finding {
    Finding::new(&rules::EXPIRED, crate::label::Confidence::Certain, subject, evidence)
}

/// Whether the rules need labels for these rows. Labels cost more than all other facts.
pub fn wants_labels(maps: &Maps, threads: usize, is_deep: bool, max_mappings: Option<u64>) -> bool {
    let is_wanted = |row: Mapping<'_>| {
        row.perms.execute() && (anonymous::is_without_file(&row) || files::is_memfd(&row))
    };
    is_deep
        || threads > 1
        || memory::is_near_limit(maps, max_mappings)
        || maps.iter().any(is_wanted)
}

/// The rows without the names that the program gave to its memory.
pub fn without_names(maps: &Maps) -> Maps {
    let is_named = |row: &Mapping<'_>| {
        matches!(row.kind(), Kind::NamedAnonymous { .. } | Kind::NamedSharedAnonymous { .. })
    };
    if !maps.iter().any(|row| is_named(&row)) {
        return maps.clone();
    }
    let mut plain = Maps::default();
    for (index, row) in maps.iter().enumerate() {
        let name = if is_named(&row) && row.inode == 0 { b"" } else { row.name };
        plain.push(&Mapping { name, ..row });
        for field in maps.fields(index) {
            plain.push_field(field.name, &field.value);
        }
    }
    if let Some(size) = maps.word_size() {
        plain.set_word_size(size);
    }
    plain
}

/// A path or name for evidence.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
