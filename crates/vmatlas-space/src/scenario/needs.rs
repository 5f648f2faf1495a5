//! The facts that an operation needs.

use super::{Advice, Fact, Map, Operation, Scenario, Sharing, Step, StepKind};
use crate::KernelProfile;
use std::collections::BTreeSet;
use vmatlas_maps::{KernelVersion, WordSize};

impl Operation {
    /// The facts that the operation needs to take effect, each once.
    pub fn needs(&self) -> Vec<Fact> {
        let fact = match self {
            Operation::Map(map) => return map.needs(),
            Operation::Advise(_, advice) => return advice.needs().into_iter().collect(),
            Operation::Protect { pkey: Some(_), .. } | Operation::Pkey(_) => Fact::Pkeys,
            Operation::Seal(_) => Fact::Mseal,
            Operation::Name { .. } => Fact::AnonNames,
            Operation::Policy(..) => Fact::Numa,
            Operation::Uffd(_) | Operation::Register { .. } | Operation::Unregister { .. } => {
                Fact::Uffd
            }
            Operation::Ksm(_) => Fact::KsmPrctl,
            Operation::Vdso { .. } => Fact::MapVdso,
            Operation::Tmpfile { .. } => Fact::Tmpfile,
            Operation::Secretmem { .. } => Fact::Secretmem,
            Operation::Shm { .. } | Operation::Attach { .. } | Operation::Detach(_) => Fact::Sysv,
            _ => return Vec::new(),
        };
        vec![fact]
    }
}

impl Map {
    fn needs(&self) -> Vec<Fact> {
        let asked = [
            (self.sharing == Sharing::Droppable, Fact::Droppable),
            (self.noreserve, Fact::Noreserve),
            // MAP_STACK forbids huge pages on kernels that have them.
            (self.stack, Fact::Thp),
            (self.huge, Fact::Hugetlb),
        ];
        asked.into_iter().filter(|(asked, _)| *asked).map(|(_, fact)| fact).collect()
    }
}

impl Advice {
    /// The fact without which the kernel refuses the advice.
    pub fn needs(self) -> Option<Fact> {
        match self {
            Advice::Hugepage | Advice::Nohugepage | Advice::Collapse => Some(Fact::Thp),
            Advice::Mergeable | Advice::Unmergeable => Some(Fact::Ksm),
            Advice::GuardInstall | Advice::GuardRemove => Some(Fact::Guard),
            _ => None,
        }
    }
}

impl Step {
    /// The facts that its operation needs.
    pub fn needs(&self) -> Vec<Fact> {
        match &self.kind {
            StepKind::Operation(operation, _) => operation.needs(),
            StepKind::Expect(_) => Vec::new(),
        }
    }
}

impl Fact {
    /// The facts that the model assumes for a kernel profile.
    pub fn of(profile: &KernelProfile) -> BTreeSet<Fact> {
        let version = profile.version;
        let facts = [
            (Fact::Thp, profile.thp),
            (Fact::Ksm, profile.ksm),
            (Fact::KsmPrctl, profile.ksm && profile.ksm_prctl),
            (Fact::Pkeys, profile.pkeys),
            (Fact::Uffd, true),
            (Fact::AnonNames, profile.anon_names),
            (Fact::Mseal, profile.mseal),
            (Fact::Numa, profile.numa),
            (Fact::Guard, profile.guards),
            (Fact::Droppable, profile.droppable),
            (Fact::Secretmem, version >= KernelVersion::new(5, 14, 0)),
            (Fact::Sysv, true),
            (Fact::Tmpfile, true),
            (Fact::Noreserve, !profile.overcommit_never),
            (Fact::MapVdso, profile.word_size == WordSize::Bits64),
            (Fact::Root, true),
        ];
        facts.into_iter().filter(|(_, has)| *has).map(|(fact, _)| fact).collect()
    }
}

impl Scenario {
    /// The reason to skip it on a kernel of that version with those facts; `None` if it applies.
    pub fn skipped(&self, version: KernelVersion, facts: &BTreeSet<Fact>) -> Option<String> {
        let running = (version.major, version.minor);
        if let Some(condition) = self.kernel.iter().find(|condition| !condition.holds(running)) {
            return Some(format!("kernel {condition}"));
        }
        let missing = self.needs.iter().find(|fact| !facts.contains(fact))?;
        Some(format!("needs {}", missing.word()))
    }
}
