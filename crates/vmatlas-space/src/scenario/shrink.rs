//! Shrinks scenarios that show a given behaviour.

use super::{Length, Operation, PageAddress, Scenario, Sharing, Span, Step, StepKind};

impl Scenario {
    /// Finds a smaller scenario for which `keeps` returns true, as it must for this one: fewer
    /// steps, then fewer pages and options. Calls `keeps` at most `attempts` times.
    ///
    /// Each candidate uses only what it defines, has a parent for each `parent`, and does not wait
    /// for a userfaultfd (see [`Scenario::may_wait`]) unless this one does.
    ///
    /// ```
    /// use vmatlas_space::scenario::{Scenario, StepKind};
    /// let text = b"scenario s\nmap 0 4 rw noreserve\nwrite 0 2\nunmap 1 1\nmap 9 1 r\nend\n";
    /// let large = Scenario::parse_file(text).unwrap().remove(0);
    /// let unmaps = |s: &Scenario| s.to_string().contains("unmap");
    /// assert_eq!(large.shrink(1000, unmaps).to_string(), "scenario s\nunmap 1 1\nend\n");
    /// ```
    pub fn shrink(&self, attempts: usize, keeps: impl FnMut(&Scenario) -> bool) -> Scenario {
        let best = self.clone();
        let mut shrinker = Shrinker { best, attempts, keeps, may_wait: self.may_wait() };
        loop {
            let before = shrinker.best.clone();
            shrinker.remove_steps();
            shrinker.remove_pairs();
            shrinker.simplify();
            if shrinker.best == before || shrinker.attempts == 0 {
                break;
            }
        }
        shrinker.remove_needs(self);
        shrinker.best
    }
}

struct Shrinker<F> {
    best: Scenario,
    attempts: usize,
    keeps: F,
    may_wait: bool,
}

impl<F: FnMut(&Scenario) -> bool> Shrinker<F> {
    /// Accepts a candidate if `keeps` does.
    fn attempt(&mut self, candidate: Scenario) -> bool {
        if self.attempts == 0
            || !is_consistent(&candidate.steps)
            || candidate.may_wait() && !self.may_wait
        {
            return false;
        }
        self.attempts -= 1;
        let kept = (self.keeps)(&candidate);
        if kept {
            self.best = candidate;
        }
        kept
    }

    /// Removes chunks of steps, then single ones; the last first, as they depend on earlier ones.
    fn remove_steps(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut end = self.best.steps.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut candidate = self.best.clone();
                candidate.steps.drain(start..end);
                self.attempt(candidate);
                end = start;
            }
            size /= 2;
        }
    }

    /// Removes pairs of steps that need each other, such as `fork` and `parent`, `file` and `map`.
    fn remove_pairs(&mut self) {
        let mut first = 0;
        while first < self.best.steps.len() {
            let needed = matches!(
                &self.best.steps[first].kind,
                StepKind::Operation(operation, _) if is_needed(operation)
            );
            let last = if needed { self.best.steps.len() } else { 0 };
            let found = (first + 1..last).any(|second| {
                let mut candidate = self.best.clone();
                candidate.steps.remove(second);
                candidate.steps.remove(first);
                self.attempt(candidate)
            });
            first += usize::from(!found);
        }
    }

    /// Simplifies each operation, one change after the other.
    fn simplify(&mut self) {
        for at in 0..self.best.steps.len() {
            let mut tried = 0;
            while let Some(StepKind::Operation(operation, outcome)) =
                self.best.steps.get(at).map(|step| step.kind.clone())
            {
                let Some(simpler) = simpler(&operation).into_iter().nth(tried) else { break };
                let mut candidate = self.best.clone();
                candidate.steps[at].kind = StepKind::Operation(simpler, outcome);
                tried = if self.attempt(candidate) { 0 } else { tried + 1 };
            }
        }
    }

    /// Removes facts that only removed operations needed.
    fn remove_needs(&mut self, large: &Scenario) {
        let needed: Vec<_> = self.best.steps.iter().flat_map(Step::needs).collect();
        let removed: Vec<_> = large.steps.iter().flat_map(Step::needs).collect();
        self.best.needs.retain(|fact| needed.contains(fact) || !removed.contains(fact));
    }
}

/// Whether later steps may depend on the operation.
fn is_needed(operation: &Operation) -> bool {
    operation.defines().is_some()
        || matches!(operation, Operation::Fork | Operation::Parent | Operation::Mkdir(_))
}

/// Whether every used name is defined before, and every process switch has a target.
fn is_consistent(steps: &[Step]) -> bool {
    let mut defined = vec!["default"];
    let (mut parents, mut current, mut left) = (vec![None], 0, None);
    steps.iter().all(|step| {
        let StepKind::Operation(operation, _) = &step.kind else { return true };
        let known = operation.uses().into_iter().all(|name| defined.contains(&name));
        defined.extend(operation.defines());
        let target = match operation {
            Operation::Fork => {
                parents.push(Some(current));
                Some(parents.len() - 1)
            }
            Operation::Parent => {
                left = Some(current);
                parents[current]
            }
            Operation::Child => left.take(),
            _ => Some(current),
        };
        current = target.unwrap_or(0);
        known && target.is_some()
    })
}

impl Operation {
    /// The name that the operation defines.
    fn defines(&self) -> Option<&str> {
        match self {
            Operation::File { label: name, .. }
            | Operation::Tmpfile { label: name, .. }
            | Operation::Memfd { label: name, .. }
            | Operation::Secretmem { label: name, .. }
            | Operation::Device { label: name, .. }
            | Operation::Shm { label: name, .. }
            | Operation::Open { fd: name, .. }
            | Operation::Dup { to: name, .. }
            | Operation::Pkey(name)
            | Operation::Uffd(name) => Some(name),
            _ => None,
        }
    }

    /// The names that the operation uses.
    fn uses(&self) -> Option<&str> {
        match self {
            Operation::Map(map) => map.file.as_ref().map(|(fd, _)| fd.as_str()),
            Operation::Protect { pkey, .. } => pkey.as_deref(),
            Operation::Register { fd: name, .. }
            | Operation::Unregister { fd: name, .. }
            | Operation::Open { label: name, .. }
            | Operation::Dup { fd: name, .. }
            | Operation::Close(name)
            | Operation::Truncate { fd: name, .. }
            | Operation::Attach { label: name, .. } => Some(name),
            _ => None,
        }
    }
}

/// Slightly simpler variants of an operation, the best first. Each is smaller, so that
/// repeated simplification ends.
fn simpler(operation: &Operation) -> Vec<Operation> {
    let mut found = Vec::new();
    let mut with = |change: &dyn Fn(&mut Operation)| {
        let mut simpler = operation.clone();
        change(&mut simpler);
        if simpler != *operation {
            found.push(simpler);
        }
    };
    for halve in [true, false] {
        with(&|operation| {
            if let Some(span) = span_of(operation) {
                *span = shorter(*span, halve);
            }
        });
    }
    with(&|operation| {
        if let Some(span) = span_of(operation) {
            span.at.bytes = 0;
        }
    });
    let numbers = |f: &dyn Fn(u64) -> u64, operation: &mut Operation| match operation {
        Operation::Read { pages: n, .. } | Operation::Write { pages: n, .. } => *n = f(*n).max(1),
        Operation::Brk(n) => *n = n.signum() * f(n.unsigned_abs()).max(1).cast_signed(),
        Operation::File { pages: n, .. }
        | Operation::Tmpfile { pages: n, .. }
        | Operation::Memfd { pages: n, .. }
        | Operation::Secretmem { pages: n, .. }
        | Operation::Shm { pages: n, .. }
        | Operation::Truncate { pages: n, .. }
        | Operation::Refile { page: n, .. } => *n = f(*n),
        Operation::Map(map) => {
            if let Some((_, page)) = &mut map.file {
                *page = f(*page);
            }
        }
        Operation::Remap { new_length: Some(Length::Pages(n)), .. } => *n = f(*n),
        _ => {}
    };
    with(&|operation| numbers(&|n| n / 2, operation));
    with(&|operation| numbers(&|n| n.saturating_sub(1), operation));
    if let Operation::Map(map) = operation {
        let map_without = |change: &dyn Fn(&mut super::Map)| {
            let mut simpler = map.clone();
            change(&mut simpler);
            Operation::Map(simpler)
        };
        found.extend([
            map_without(&|map| map.file = None),
            map_without(&|map| (map.sharing, map.label) = (Sharing::Private, None)),
            map_without(&|map| map.noreplace = false),
            map_without(&|map| map.noreserve = false),
            map_without(&|map| map.stack = false),
            map_without(&|map| map.growsdown = false),
            map_without(&|map| map.populate = false),
            map_without(&|map| map.locked = false),
            map_without(&|map| map.huge = false),
        ]);
        found.retain(|simpler| simpler != operation);
        return found;
    }
    let mut without = |change: &dyn Fn(&mut Operation)| {
        let mut simpler = operation.clone();
        change(&mut simpler);
        if simpler != *operation {
            found.push(simpler);
        }
    };
    without(&|operation| match operation {
        Operation::Protect { pkey, .. } => *pkey = None,
        Operation::Remap { dontunmap, .. } => *dontunmap = false,
        Operation::Lock { onfault, .. } | Operation::LockAll { onfault, .. } => *onfault = false,
        Operation::File { path, .. } => *path = None,
        Operation::Memfd { name, .. } => *name = None,
        Operation::Shm { key, .. } => *key = None,
        Operation::Attach { readonly, .. } => *readonly = false,
        _ => {}
    });
    without(&|operation| match operation {
        Operation::Protect { growsdown, .. } => *growsdown = false,
        Operation::Remap { maymove, .. } => *maymove = false,
        Operation::Attach { replace, .. } => *replace = false,
        _ => {}
    });
    without(&|operation| {
        if let Operation::Remap { new_length, .. } = operation {
            *new_length = None;
        }
    });
    found
}

fn span_of(operation: &mut Operation) -> Option<&mut Span> {
    match operation {
        Operation::Map(super::Map { span, .. })
        | Operation::Unmap(span)
        | Operation::Protect { span, .. }
        | Operation::Remap { span, .. }
        | Operation::Refile { span, .. }
        | Operation::Advise(span, _)
        | Operation::Lock { span, .. }
        | Operation::Unlock(span)
        | Operation::Seal(span)
        | Operation::Name { span, .. }
        | Operation::Policy(span, _)
        | Operation::Register { span, .. }
        | Operation::Unregister { span, .. } => Some(span),
        _ => None,
    }
}

/// A span half as long, or a page shorter at its start; never empty.
fn shorter(span: Span, halve: bool) -> Span {
    match span.length {
        Length::Bytes(bytes) if halve => {
            Span { length: Length::Pages(bytes.div_ceil(4096).max(1)), ..span }
        }
        Length::Pages(pages) if pages > 1 && halve => {
            Span { length: Length::Pages(pages / 2), ..span }
        }
        Length::Pages(pages) if pages > 1 => {
            let at = PageAddress { page: span.at.page.saturating_add(1), ..span.at };
            Span { at, length: Length::Pages(pages - 1) }
        }
        _ => span,
    }
}
