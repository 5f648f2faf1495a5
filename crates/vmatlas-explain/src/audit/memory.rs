//! Rules about limits, secrets and devices: `secret-dumpable`, `map-budget`, `unexplained`,
//! `kernel-surface`.

use super::anonymous::size;
use super::{AuditInput, Finding, Severity, rules, text};
use crate::label::Confidence;
use std::collections::{BTreeMap, BTreeSet};
use vmatlas_maps::{Kind, Mapping, Maps, Sizes, SmapsValue};

/// Bit of coredump_filter: private anonymous memory, see core(5).
const DUMPS_PRIVATE: u64 = 1;
/// Words by which programs name secrets.
const SECRETS: [&[u8]; 6] =
    [b"secret", b"password", b"passwd", b"passphrase", b"private key", b"keys"];

pub(super) fn find(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    secrets(input, found);
    found.extend(near_limit(input));
    found.extend(unexplained(input));
    devices(input, found);
}

/// Whether the name of a row says that it holds a secret.
pub fn names_a_secret(row: &Mapping<'_>) -> bool {
    let (Kind::NamedAnonymous { name } | Kind::NamedSharedAnonymous { name }) = row.kind() else {
        return false;
    };
    let name = name.to_ascii_lowercase();
    let has = |word: &&[u8]| memchr::memmem::find(&name, word).is_some();
    SECRETS.iter().any(has) || name == b"key"
}

fn flags(maps: &Maps, index: usize, flag: &str) -> Option<bool> {
    maps.fields(index).find_map(|field| match field.value {
        SmapsValue::Flags(flags) => Some(flags.has(flag)),
        _ => None,
    })
}

fn secrets(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    let is_dumped = input.audit.coredump_filter.is_none_or(|filter| filter & DUMPS_PRIVATE != 0);
    for (index, row) in input.rows().filter(|(_, row)| is_dumped && names_a_secret(row)) {
        if flags(input.maps, index, "dd") == Some(false) {
            let evidence = format!("{} would be in a core dump", text(row.name));
            let rule = &rules::SECRET_DUMPABLE;
            let finding = Finding::new(rule, Confidence::Guess, row.name, evidence);
            found.push(finding.at(row.range));
        }
    }
}

/// Whether more than 80 % of the mappings that are allowed exist.
pub(super) fn is_near_limit(maps: &Maps, most: Option<u64>) -> bool {
    most.is_some_and(|most| maps.len() as u64 * 5 > most * 4)
}

fn near_limit(input: &AuditInput<'_>) -> Option<Finding> {
    let most =
        input.audit.max_mappings.filter(|_| is_near_limit(input.maps, input.audit.max_mappings))?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, row) in input.rows() {
        let label = input.labels.most_of(row.range).map(|label| label.group.to_string());
        let named = || match row.kind() {
            Kind::File => text(row.name),
            kind => kind.word().to_owned(),
        };
        *counts.entry(label.unwrap_or_else(named)).or_default() += 1;
    }
    let (what, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let evidence = format!("{} of {most} mappings; {count} of them are {what}", input.maps.len());
    Some(Finding::new(&rules::MAP_BUDGET, Confidence::Certain, what, evidence))
}

fn unexplained(input: &AuditInput<'_>) -> Option<Finding> {
    /// Less is not worth a finding.
    const LEAST: u64 = 1 << 20;
    if !input.audit.is_deep || !input.maps.has_fields() {
        return None;
    }
    let (mut all, mut unlabelled) = (0u64, 0u64);
    for (index, row) in input.rows().filter(|(_, row)| row.kind() == Kind::Anonymous) {
        let rss = Sizes::of(input.maps, index).rss.unwrap_or(0);
        all = all.saturating_add(rss);
        if input.labels.most_of(row.range).is_none() {
            unlabelled = unlabelled.saturating_add(rss);
        }
    }
    if unlabelled < LEAST || unlabelled * 2 <= all {
        return None;
    }
    let evidence = format!(
        "{} of {} of resident memory without a name have no label",
        size(unlabelled),
        size(all)
    );
    Some(Finding::new(&rules::UNEXPLAINED, Confidence::Certain, "anonymous", evidence))
}

fn devices(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    const PHYSICAL: [&[u8]; 3] = [b"/dev/mem", b"/dev/kmem", b"/dev/port"];
    const HARMLESS: [&[u8]; 2] = [b"/dev/zero", b"/dev/null"];
    let mut known = BTreeSet::new();
    for (_, row) in input.rows() {
        let is_device = matches!(row.kind(), Kind::Device | Kind::AnonInode);
        let plain = row.name.strip_suffix(b" (deleted)").unwrap_or(row.name);
        if !is_device || HARMLESS.contains(&plain) || !known.insert(row.name) {
            continue;
        }
        let evidence = format!("{} is mapped {}", text(row.name), row.perms);
        let rule = &rules::KERNEL_SURFACE;
        let mut finding = Finding::new(rule, Confidence::Certain, row.name, evidence).at(row.range);
        if PHYSICAL.contains(&plain) {
            finding.severity = Severity::High;
        }
        found.push(finding);
    }
}
