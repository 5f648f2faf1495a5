//! Crashes in kernel logs and crash logs.

use super::case::Case;
use std::collections::HashSet;
use vmatlas_explain::crash::read_log;
use vmatlas_explain::explain::{Evidence, Fault};
use vmatlas_explain::label::{Facts, Labels};

/// The processes and threads of the crashes in a text, as far as it has their ids.
pub(super) fn ids(text: &[u8]) -> Vec<u32> {
    let crashes = read_log(text);
    let mut ids: Vec<u32> = crashes.iter().filter_map(|crash| crash.pid.or(crash.tid)).collect();
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    ids
}

/// Every crash in a text, or only those of a process or thread.
pub(super) fn cases(text: &[u8], pid: Option<u32>) -> Vec<Case> {
    let crashes = read_log(text).into_iter();
    let wanted = crashes.filter(|crash| pid.is_none() || crash.pid == pid || crash.tid == pid);
    let explained = wanted.map(|crash| {
        let facts = Facts::default();
        let labels = Labels::read(&crash.maps, &facts, None);
        let fault = Fault::of(&crash, None);
        let mut evidence = Evidence::new(&crash, &facts, &labels);
        evidence.fault = fault;
        Case::of(&evidence, crash.frames.clone())
    });
    explained.collect()
}
