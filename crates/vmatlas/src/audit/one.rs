//! The audit of one address space.

use super::found::{Audit, Found};
use super::process::AuditedProcess;
use crate::atlas::Atlas;
use crate::source::live::Live;
use std::sync::Arc;
use vmatlas_explain::audit::{AuditFacts, AuditInput, Finding, find, wants_labels, without_names};
use vmatlas_explain::label::{Facts, Labels};
use vmatlas_linux::audit::{AuditShared, AuditSources, compare_pages, gather_audit_facts};
use vmatlas_linux::files::FileTruth;
use vmatlas_maps::{AddressRange, Device, Kind, Mapping, Maps};

/// What was found in an address space, and what is compared with others.
pub(super) struct One {
    pub(super) process: Arc<AuditedProcess>,
    pub(super) findings: Vec<Finding>,
    /// The files that it executes.
    pub(super) executes: Vec<(Device, u64)>,
    /// Its rows of files that it maps shared and writable.
    pub(super) writes: Vec<vmatlas_maps::OwnedMapping>,
}

impl Atlas {
    /// Audits the address space. The rules use what its source has; labels use the memory with
    /// [`deep`](crate::Open::deep). For recordings also the order of calls counts.
    pub fn audit(&self) -> Audit {
        let One { process, findings, .. } = of(self, &AuditShared::default());
        let findings = findings.into_iter().map(|finding| Found::new(&process, finding)).collect();
        let mut audit = Audit { findings, processes: 1, ..Audit::default() };
        audit.sort();
        audit
    }
}

pub(super) fn of(atlas: &Atlas, shared: &AuditShared) -> One {
    let maps = atlas.maps();
    let mut facts = match atlas.live() {
        Some(live) => of_live(atlas, live, shared),
        None => AuditFacts::default(),
    };
    facts.is_deep = atlas.is_deep();
    let threads = atlas.live().map_or(0, Live::thread_count);
    let wants = wants_labels(maps, threads, atlas.is_deep(), facts.max_mappings);
    let none = (Facts::default(), Labels::default());
    let (label_facts, labels) = match wants {
        true => (atlas.facts(), labels(atlas)),
        false => (&none.0, none.1),
    };
    if atlas.is_deep() {
        facts.return_addresses = return_addresses(atlas);
    }
    let input = AuditInput { maps, labels: &labels, facts: label_facts, audit: &facts };
    #[cfg_attr(not(feature = "recordings"), expect(unused_mut, reason = "no sequences"))]
    let mut findings = find(&input);
    #[cfg(feature = "recordings")]
    findings.extend(super::recorded::sequences(atlas));
    let is_code = |row: &Mapping<'_>| row.perms.execute() && row.kind() == Kind::File;
    let is_written =
        |row: &Mapping<'_>| row.perms.write() && row.perms.shared() && row.kind() == Kind::File;
    let mut executes: Vec<(Device, u64)> =
        maps.iter().filter(is_code).map(|row| (row.device, row.inode)).collect();
    executes.sort_unstable();
    executes.dedup();
    let writes = maps.iter().filter(is_written).map(Mapping::into_owned).collect();
    let process = AuditedProcess {
        pid: atlas.pid(),
        comm: atlas.comm().to_vec(),
        exe: facts.exe.path,
        build_id: facts.exe.build_id,
        uid: facts.uids.get(1).copied(),
    };
    One { process: Arc::new(process), findings, executes, writes }
}

fn of_live(atlas: &Atlas, live: &Live, shared: &AuditShared) -> AuditFacts {
    let maps = atlas.maps();
    let sources = AuditSources {
        process: &live.process,
        maps,
        files: &|| live.files(maps),
        truths: &|| live.truths(maps),
        shared,
    };
    let mut facts = gather_audit_facts(sources);
    if atlas.is_deep()
        && !facts.changed_pages.is_empty()
        && let Some(files) = live.files(maps)
    {
        let truths = live.truths(maps);
        let truth = |row| -> Option<&FileTruth> { truths.get(row) };
        let pages = std::mem::take(&mut facts.changed_pages);
        facts.changed_pages = compare_pages(&live.process, maps, files, truth, pages);
    }
    if atlas.live().is_some_and(Live::lost) { AuditFacts::default() } else { facts }
}

/// The labels, made as if the program had given no names.
fn labels(atlas: &Atlas) -> Labels {
    let maps = atlas.maps();
    let is_named = |row: &Mapping<'_>| {
        matches!(row.kind(), Kind::NamedAnonymous { .. } | Kind::NamedSharedAnonymous { .. })
    };
    if !maps.iter().any(|row| is_named(&row)) {
        return atlas.labels().clone();
    }
    if atlas.document().is_some() {
        let row = |range: AddressRange| maps.find(range.start).mapping.and_then(|at| maps.get(at));
        let parts = atlas.labels().iter();
        let plain = parts.filter(|part| !row(part.range).is_some_and(|row| is_named(&row)));
        return Labels::kept(maps, plain.cloned().collect()).unwrap_or_default();
    }
    let plain: Maps = without_names(maps);
    let facts = atlas.facts();
    match atlas.live().filter(|_| atlas.is_deep()) {
        Some(live) => live
            .deep_labels(&plain, facts, live.budget().of_file())
            .unwrap_or_else(|_| Labels::read(&plain, facts, None)),
        None => Labels::read(&plain, facts, None),
    }
}

/// Words near the top of stacks that are addresses of executable memory without a file.
fn return_addresses(atlas: &Atlas) -> Vec<u64> {
    /// The innermost calls.
    const STACK: usize = 16 << 10;
    const MAX_THREADS: usize = 256;
    const MAX_FOUND: usize = 4096;
    let is_code = |row: &Mapping<'_>| {
        row.perms.execute() && !matches!(row.kind(), Kind::File | Kind::Vdso | Kind::Vsyscall)
    };
    let code: Vec<AddressRange> =
        atlas.maps().iter().filter(is_code).map(|row| row.range).collect();
    let Ok(Some(memory)) = atlas.memory() else { return Vec::new() };
    if code.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let pointers = atlas.threads().iter().filter_map(|thread| thread.stack_pointer);
    for pointer in pointers.take(MAX_THREADS) {
        let mut bytes = vec![0; STACK];
        let read = memory.read(pointer, &mut bytes);
        let words = bytes[..read.min(STACK)].as_chunks::<8>().0.iter();
        let words = words.map(|word| u64::from_le_bytes(*word));
        let is_code = |word: &u64| code.iter().any(|range| range.contains(*word));
        found.extend(words.filter(is_code).take(MAX_FOUND - found.len().min(MAX_FOUND)));
    }
    found
}
