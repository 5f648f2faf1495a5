//! A finding of an audit.

use super::rules::Rule;
use crate::label::Confidence;
use std::fmt;
use vmatlas_maps::AddressRange;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth to know; nothing is wrong.
    Info,
    /// A protection that many programs lack.
    Low,
    /// Wrong in most services; often an upgrade without a restart.
    Medium,
    /// An attacker who can write memory or files can execute code.
    High,
    /// No program that is well does this.
    Critical,
}

impl Severity {
    /// All of them, the least serious first.
    pub const ALL: [Severity; 5] =
        [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    /// The name of the variant in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The severity with this word.
    pub fn named(word: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.word() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a rule has found in a process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Its severity: that of the rule, or a lower one if an honest explanation fits.
    pub severity: Severity,
    /// How reliable the evidence is.
    pub confidence: Confidence,
    /// The addresses, if it is about a mapping.
    pub range: Option<AddressRange>,
    /// What it is about, without addresses: the path of a file, or what the memory is for. It may
    /// hold any bytes.
    pub subject: Vec<u8>,
    /// The evidence in a sentence, without the full stop. Names in it may hold control characters.
    pub evidence: String,
    /// The honest cause that fits, in a sentence.
    pub explanation: Option<String>,
}

impl Finding {
    /// A finding of a rule with its own severity.
    pub fn new(
        rule: &'static Rule,
        confidence: Confidence,
        subject: impl Into<Vec<u8>>,
        evidence: impl Into<String>,
    ) -> Finding {
        let (subject, evidence) = (subject.into(), evidence.into());
        let (severity, range, explanation) = (rule.severity, None, None);
        Finding { rule, severity, confidence, range, subject, evidence, explanation }
    }

    /// Sets the addresses.
    #[must_use]
    pub(super) fn at(mut self, range: AddressRange) -> Finding {
        self.range = Some(range);
        self
    }

    /// Lowers the severity because of an honest cause.
    #[must_use]
    pub(super) fn explained(mut self, severity: Severity, why: impl Into<String>) -> Finding {
        self.severity = severity.min(self.severity);
        self.explanation = Some(why.into());
        self
    }
}
