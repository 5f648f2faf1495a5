//! What identifies a live process.

use vmatlas_linux::Process;
use vmatlas_linux::processes::{About, Cgroup};
use vmatlas_maps::Identity;

/// Reads what identifies a process; `None` if it is gone.
pub(crate) fn identity(process: &Process) -> Option<Identity> {
    Some(identity_of(process, process.about().ok()?))
}

/// The same of a process whose status was read.
pub(crate) fn identity_of(process: &Process, about: About) -> Identity {
    let cgroup = process.cgroup().unwrap_or_default();
    let unit = cgroup.unit().unwrap_or_default().to_owned();
    let container = cgroup.container().unwrap_or_default();
    let Cgroup { memory: cgroup, .. } = cgroup;
    Identity {
        pid: Some(about.pid),
        comm: about.comm,
        exe: process.executable().unwrap_or_default(),
        uid: about.uid,
        cgroup,
        container,
        unit,
        started: process.start_time().map(|start| start.as_secs()),
    }
}
