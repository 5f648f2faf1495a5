//! The audit of many processes.

use super::found::{Audit, AuditOptions, Found};
use super::one::{self, One};
use crate::atlas::Open;
use crate::error::{ErrorKind, Result};
use crate::needs::Needs;
use crate::survey::{Census, Refused};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vmatlas_explain::audit::{names_a_secret, written_and_executed};
use vmatlas_linux::ProcessId;
use vmatlas_linux::audit::AuditShared;
use vmatlas_linux::processes::in_parallel;
use vmatlas_maps::Device;

/// The time after which a process that does not answer is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same if memory is read.
const PATIENCE_DEEP: Duration = Duration::from_secs(90);

impl Census {
    /// Audits the processes. A process that is hostile or hangs costs only its own findings; what
    /// cannot be read is counted.
    pub fn audit(self, options: &AuditOptions) -> Audit {
        let (proc, abouts, mut counts, reach) = self.into_parts();
        let pids: Vec<u32> = abouts.iter().map(|about| about.pid).collect();
        let shared = Arc::new(AuditShared::default());
        let limit = if options.deep { PATIENCE_DEEP } else { PATIENCE };
        let options = options.clone();
        let found = in_parallel(pids, limit, move |pid| process(&proc, pid, &options, &shared));
        counts.silent.extend(found.silent);
        let mut audited = Vec::new();
        for (pid, one) in found.answers {
            match one {
                Ok(one) => audited.push(one),
                Err(error) if error.kind() == ErrorKind::Denied => {
                    let about = abouts.iter().find(|about| about.pid == pid);
                    counts.refused.push(Refused {
                        pid,
                        comm: about.map(|about| about.comm.clone()).unwrap_or_default(),
                        rss: about.and_then(|about| about.rss),
                    });
                }
                Err(_) => counts.gone += 1,
            }
        }
        compare(&mut audited);
        let processes = audited.len() as u64;
        let mut audit = Audit { processes, counts, reach: Some(reach), ..Audit::default() };
        for One { process, findings, .. } in audited {
            audit
                .findings
                .extend(findings.into_iter().map(|finding| Found::new(&process, finding)));
        }
        audit.sort();
        audit
    }
}

fn process(proc: &Path, pid: u32, options: &AuditOptions, shared: &AuditShared) -> Result<One> {
    let needs = if options.deep { Needs::SIZES } else { Needs::ROWS };
    let open = |needs| {
        Open::new(ProcessId { pid, tid: None })
            .proc(proc)
            .needs(needs)
            .deep(options.deep)
            .limits(options.limits)
            .open()
    };
    let mut atlas = open(needs)?;
    // Whether core dumps contain them is in VmFlags only.
    if !options.deep && atlas.maps().iter().any(|row| names_a_secret(&row)) {
        atlas = open(Needs::SIZES)?;
    }
    Ok(one::of(&atlas, shared))
}

/// Finds files that one process may write and another one executes.
fn compare(audited: &mut [One]) {
    let mut executed: HashMap<(Device, u64), Vec<u32>> = HashMap::new();
    for one in audited.iter().filter(|_| audited.iter().any(|one| !one.writes.is_empty())) {
        for file in &one.executes {
            let pids = executed.entry(*file).or_default();
            // Two are enough to find another one.
            if pids.len() < 2 {
                pids.extend(one.process.pid);
            }
        }
    }
    for one in audited {
        let own = one.process.pid;
        for row in &one.writes {
            let pids = executed.get(&(row.device, row.inode)).map_or(&[][..], Vec::as_slice);
            let other = pids.iter().find(|pid| Some(**pid) != own);
            let finding = other.map(|pid| written_and_executed(&row.as_mapping(), *pid));
            one.findings.extend(finding);
        }
    }
}
