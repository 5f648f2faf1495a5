//! Gathers the facts of an [audit](vmatlas_explain::audit) of a live process.
//!
//! Facts about files are kept for all processes of an audit ([`AuditShared`]). Every fact is
//! optional: what cannot be read is missing. What may hang is asked as for labels, by [`Files`].

mod changed;
mod code_file;
mod compare;
mod executable;
mod files_of_rows;
mod process_facts;
mod tracer;
mod writers;

pub use compare::compare_pages;

use crate::access::Status;
use crate::files::{FileTruths, Files};
use crate::process::Process;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use vmatlas_explain::audit::{AuditFacts, CodeFile};
use vmatlas_maps::{Device, Kind, Maps};

/// What the audits of many processes share: facts about the machine and about files.
#[derive(Debug, Default)]
pub struct AuditShared {
    machine: OnceLock<Machine>,
    files: Mutex<HashMap<FileKey, Arc<CodeFile>>>,
    groups: OnceLock<writers::Groups>,
}

/// Settings of the machine.
#[derive(Debug, Default)]
struct Machine {
    randomize: Option<u64>,
    lowest_address: Option<u64>,
    max_mappings: Option<u64>,
    /// `uid_map` of this process.
    own_users: Option<Vec<u8>>,
}

/// Identifies a file among those of all processes: the same name may be another file in another
/// mount namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FileKey {
    name: Vec<u8>,
    device: Device,
    inode: u64,
    namespace: Option<u64>,
}

/// What the facts are read from.
#[derive(Clone, Copy)]
pub struct AuditSources<'a> {
    /// The process.
    pub process: &'a Process,
    /// Its rows.
    pub maps: &'a Maps,
    /// Opens the files of the process.
    pub files: &'a dyn Fn() -> Option<&'a Files>,
    /// Verifies the names of its rows.
    pub truths: &'a dyn Fn() -> &'a FileTruths,
    /// What is shared with the audits of other processes.
    pub shared: &'a AuditShared,
}

impl AuditShared {
    /// `vm.max_map_count`.
    pub fn max_mappings(&self) -> Option<u64> {
        self.machine().max_mappings
    }

    fn machine(&self) -> &Machine {
        self.machine.get_or_init(|| {
            let read = |name: &str| {
                std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
            };
            Machine {
                randomize: read("kernel/randomize_va_space"),
                lowest_address: read("vm/mmap_min_addr"),
                max_mappings: read("vm/max_map_count"),
                own_users: std::fs::read("/proc/self/uid_map").ok(),
            }
        })
    }
}

/// Gathers the facts of a process.
pub fn gather_audit_facts(sources: AuditSources<'_>) -> AuditFacts {
    let AuditSources { process, maps, shared, .. } = sources;
    let mut facts = AuditFacts::default();
    let thread = process.living_thread();
    let process = thread.as_ref().unwrap_or(process);
    let status = Status::read(process);
    let own_users = shared.machine().own_users.as_deref();
    process_facts::read(process, status.as_ref(), own_users, &mut facts);
    if process.is_live() {
        let machine = shared.machine();
        facts.randomize = machine.randomize;
        facts.lowest_address = machine.lowest_address;
        facts.max_mappings = machine.max_mappings;
        facts.foreign_memory = process_facts::foreign_memory(process);
        facts.tracer = status.and_then(|status| tracer::of(process, &status, shared));
        files_of_rows::read(sources, process, &mut facts);
        executable::read(process, maps, shared, &mut facts);
    }
    facts.changed_pages = changed::pages(process, maps);
    facts
}

/// Whether a row is code of a file.
fn is_code(row: &vmatlas_maps::Mapping<'_>) -> bool {
    row.perms.execute() && matches!(row.kind(), Kind::File | Kind::Memfd { .. })
}
