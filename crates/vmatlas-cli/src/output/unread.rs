//! Processes that could not be read.

use vmatlas::words::size;
use vmatlas::{Counts, Reach};

/// A number of processes.
pub(super) fn processes(count: u64) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

/// What is missing, a line each.
pub(super) fn notes(counts: &Counts, reach: Reach) -> Vec<String> {
    let mut notes = Vec::new();
    if !counts.refused.is_empty() {
        let rss: u64 = counts.refused.iter().filter_map(|refused| refused.rss).sum();
        let help = match reach {
            Reach::Own => "; root or CAP_PERFMON reads them (setcap cap_perfmon+ep vmatlas)",
            _ => "",
        };
        notes.push(format!(
            "{} may not be read, {} resident by their status{help}",
            processes(counts.refused.len() as u64),
            size(rss)
        ));
    }
    if !counts.silent.is_empty() {
        let pids: Vec<String> = counts.silent.iter().take(8).map(u32::to_string).collect();
        let more = if counts.silent.len() > 8 { ", …" } else { "" };
        notes.push(format!("no answer in time from {}{more}; they are left out", pids.join(", ")));
    }
    notes
}
