//! Findings.

pub(crate) mod json;
mod sarif;

use super::Answer;
use super::fit::Fit;
use super::json::formatter::Addresses;
use super::style::Paint;
use super::unread::{self, processes};
use anstyle::{AnsiColor, Style};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::audit::{Audit, AuditedProcess, Finding, Found, Rule, Severity};
use vmatlas::words::printable;

/// The answer of `audit`.
pub(crate) struct AuditAnswer<'a> {
    pub(crate) audit: &'a Audit,
    pub(crate) fit: Fit,
}

/// Findings of a rule with the same fingerprint and severity.
struct Entry<'a> {
    finding: &'a Finding,
    /// The processes that have it.
    processes: Vec<&'a AuditedProcess>,
    /// The number of findings.
    count: usize,
}

/// The most processes that are named for a finding.
const MOST_NAMED: usize = 6;

impl AuditAnswer<'_> {
    /// What was not audited, a line each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let reach = self.audit.reach;
        reach.map(|reach| unread::notes(&self.audit.counts, reach)).unwrap_or_default()
    }

    /// The findings by rule, those of the most serious one first.
    fn groups(&self) -> Vec<(&'static Rule, Severity, Vec<Entry<'_>>)> {
        let mut groups: Vec<(&'static Rule, Severity, Vec<Entry<'_>>)> = Vec::new();
        let mut places: BTreeMap<(&str, &str, Severity), (usize, usize)> = BTreeMap::new();
        for Found { finding, process, fingerprint, .. } in &self.audit.findings {
            let (rule, severity) = (finding.rule, finding.severity);
            let group = groups
                .iter()
                .position(|(known, level, _)| known.id == rule.id && *level == severity);
            let group = group.unwrap_or_else(|| {
                groups.push((rule, severity, Vec::new()));
                groups.len() - 1
            });
            let entries = &mut groups[group].2;
            let place = places.entry((rule.id, fingerprint, severity)).or_insert_with(|| {
                entries.push(Entry { finding, processes: Vec::new(), count: 0 });
                (group, entries.len() - 1)
            });
            let entry = &mut groups[place.0].2[place.1];
            entry.count += 1;
            if !entry.processes.iter().any(|known| known.pid == process.pid) {
                entry.processes.push(process);
            }
        }
        groups
    }

    fn group(&self, text: &mut String, group: &(&Rule, Severity, Vec<Entry<'_>>), paint: Paint) {
        let (rule, severity, entries) = group;
        let level = paint.paint(style(*severity), &format!("{severity:<8}"));
        if *severity == Severity::Info {
            let mut pids: Vec<_> = entries
                .iter()
                .flat_map(|entry| &entry.processes)
                .map(|process| process.pid)
                .collect();
            pids.sort_unstable();
            pids.dedup();
            let count = processes(pids.len() as u64);
            let _ = writeln!(text, "{level}  {}: {}, in {count}", rule.id, rule.title);
            return;
        }
        let _ = writeln!(text, "{level}  {}: {}", paint.bold(rule.id), rule.title);
        for entry in entries {
            let who = who(&entry.processes);
            let at = if entry.processes.len() == 1 { at(entry.finding) } else { String::new() };
            let evidence = printable(entry.finding.evidence.as_bytes());
            let more = match entry.count - entry.processes.len() {
                0 => String::new(),
                more => format!("; {more} more like it"),
            };
            let evidence = format!("{who}{evidence}{at}{more}");
            self.paragraph(text, "  ", &evidence);
            if let Some(why) = &entry.finding.explanation {
                self.paragraph(
                    text,
                    "    ",
                    &format!("honest cause: {}", printable(why.as_bytes())),
                );
            }
        }
        self.paragraph(text, "  ", &format!("to do: {}", rule.advice));
        text.push('\n');
    }

    /// Writes a paragraph, whose further lines are indented more.
    fn paragraph(&self, text: &mut String, indent: &str, paragraph: &str) {
        let more = format!("{indent}  ");
        for (index, line) in self.fit.behind(more.len()).lines(paragraph).iter().enumerate() {
            let indent = if index == 0 { indent } else { &more };
            let _ = writeln!(text, "{indent}{line}");
        }
    }

    fn summary(&self) -> String {
        let audited = processes(self.audit.processes);
        let excused = match self.audit.excused.len() {
            0 => String::new(),
            count => format!("; {count} excused by the policy"),
        };
        let counts: Vec<String> = Severity::ALL
            .into_iter()
            .rev()
            .map(|severity| (severity, self.audit.count(severity)))
            .filter(|(_, count)| *count > 0)
            .map(|(severity, count)| format!("{count} {severity}"))
            .collect();
        match self.audit.findings.len() {
            0 => format!("no finding in {audited}{excused}"),
            1 => format!("1 finding in {audited}: {}{excused}", counts.join(", ")),
            count => format!("{count} findings in {audited}: {}{excused}", counts.join(", ")),
        }
    }
}

/// The processes of a finding; empty for a file.
fn who(processes: &[&AuditedProcess]) -> String {
    let name = processes.first().map(|process| printable(&process.comm)).unwrap_or_default();
    let pids: Vec<String> =
        processes.iter().filter_map(|process| process.pid).map(|pid| pid.to_string()).collect();
    let shown = pids.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = match pids.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match (name.as_str(), shown.as_str()) {
        ("", "") => String::new(),
        (name, "") => format!("{name}: "),
        ("", pids) => format!("{pids}{more}: "),
        (name, pids) => format!("{name} ({pids}{more}): "),
    }
}

/// Where a finding is.
fn at(finding: &Finding) -> String {
    finding.range.map(|range| format!(", at {:x}-{:x}", range.start, range.end)).unwrap_or_default()
}

fn style(severity: Severity) -> Style {
    let color = match severity {
        Severity::Critical | Severity::High => AnsiColor::Red,
        Severity::Medium => AnsiColor::Yellow,
        Severity::Low => AnsiColor::Cyan,
        Severity::Info => return Style::new().dimmed(),
    };
    let style = Style::new().fg_color(Some(color.into()));
    if severity == Severity::Critical { style.bold() } else { style }
}

impl Answer for AuditAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let groups = self.groups();
        groups.iter().for_each(|group| self.group(&mut text, group, paint));
        if groups.last().is_some_and(|(_, severity, _)| *severity == Severity::Info) {
            text.push('\n');
        }
        let _ = writeln!(text, "{}", self.summary());
        text
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        super::json::write(out, addresses, &json::AuditJson::of(self.audit, self.notes()))
    }

    fn sarif(&self, out: &mut dyn Write) -> io::Result<()> {
        sarif::write(out, self.audit)
    }
}

/// The answer of `audit --explain`.
pub(crate) struct RuleAnswer {
    pub(crate) rule: &'static Rule,
    pub(crate) fit: Fit,
}

impl Answer for RuleAnswer {
    fn text(&self, paint: Paint) -> String {
        let Rule { id, severity, title, condition, honest, advice, .. } = *self.rule;
        let honest = if honest.is_empty() { "none is known" } else { honest };
        let mut text = format!("{}: {title} ({severity})\n", paint.bold(id));
        for (heading, part) in
            [("found when", condition), ("honest causes", honest), ("to do", advice)]
        {
            for (index, line) in
                self.fit.behind(4).lines(&format!("{heading}: {part}")).iter().enumerate()
            {
                let _ = writeln!(text, "{}{line}", if index == 0 { "  " } else { "    " });
            }
        }
        text
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        super::json::write(out, addresses, &json::RuleJson::of(self.rule))
    }
}
