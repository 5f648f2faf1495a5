//! Detects operations that could block forever on a userfaultfd without a reader.

use super::{Advice, Length, Operation, Region, Scenario, Span, StepKind};
use std::ops::Range;

impl Scenario {
    /// Whether an operation may touch a page that is registered for missing pages; on a live kernel
    /// that blocks forever.
    ///
    /// May report false positives: pages count as registered in every process from the first
    /// `register` on, wherever they are moved, until a process that never forked unmaps them or
    /// closes all of its userfaultfds.
    pub fn may_wait(&self) -> bool {
        let mut waits = Waits::new(self.region);
        self.steps.iter().any(|step| match &step.kind {
            StepKind::Operation(operation, outcome) => waits.step(operation, outcome.is_ok()),
            StepKind::Expect(_) => false,
        })
    }
}

/// The state of the check, see [`Scenario::may_wait`].
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    /// The registered pages, unordered.
    registered: Vec<Range<i64>>,
    uffds: Vec<String>,
    /// Whether memory was locked: the kernel then touches pages by itself.
    pub(super) locked: bool,
    /// Whether there may be mappings that grow on access.
    growing: bool,
    /// Whether memory was sealed or has huge pages, so that munmap may fail.
    stubborn: bool,
    forked: bool,
}

impl Waits {
    pub(super) fn new(region: Region) -> Waits {
        Waits { growing: region == Region::Stack, ..Waits::default() }
    }

    /// Whether the operation may block forever; if not, updates the state.
    pub(super) fn step(&mut self, operation: &Operation, succeeds: bool) -> bool {
        let touched = match operation {
            Operation::Read { at, pages } | Operation::Write { at, pages } => {
                Some(range(&Span { at: *at, length: Length::Pages(*pages) }))
            }
            Operation::Lock { span, .. } | Operation::Refile { span, .. } => Some(range(span)),
            Operation::Advise(
                span,
                Advice::PopulateRead | Advice::PopulateWrite | Advice::Collapse | Advice::Willneed,
            ) => Some(range(span)),
            Operation::LockAll { .. } => Some(i64::MIN..i64::MAX),
            _ => None,
        };
        // A registered mapping above could grow down to the touched page.
        let reach = touched.map(|t| if self.growing { t.start..i64::MAX } else { t });
        if reach.is_some_and(|reach| self.is_registered(&reach)) {
            return true;
        }
        self.note(operation, succeeds)
    }

    fn is_registered(&self, pages: &Range<i64>) -> bool {
        self.registered.iter().any(|r| r.start < pages.end && pages.start < r.end)
    }

    fn note(&mut self, operation: &Operation, succeeds: bool) -> bool {
        match operation {
            Operation::Register { span, write_protect: false, .. } => {
                self.registered.push(range(span));
                return self.locked;
            }
            Operation::Uffd(fd) => self.uffds.push(fd.clone()),
            Operation::Close(fd) => {
                self.uffds.retain(|open| open != fd);
                if self.uffds.is_empty() && !self.forked {
                    self.registered.clear();
                }
            }
            Operation::Unmap(span) if succeeds && !self.forked && !self.stubborn => {
                self.forget(span);
            }
            Operation::Remap { span, to, new_length, .. } => {
                let old = range(span);
                if self.is_registered(&old) {
                    let at = to.unwrap_or(span.at);
                    let length = new_length.unwrap_or(span.length);
                    self.registered.push(range(&Span { at, length }));
                }
            }
            Operation::Dup { fd, to } if self.uffds.contains(fd) => self.uffds.push(to.clone()),
            Operation::Lock { .. } | Operation::LockAll { .. } => self.locked = true,
            Operation::Map(map) => {
                self.locked |= map.locked;
                self.growing |= map.growsdown;
                self.stubborn |= map.huge;
            }
            Operation::Seal(_) => self.stubborn = true,
            Operation::Fork => self.forked = true,
            _ => {}
        }
        false
    }

    /// Removes pages that are certainly unmapped.
    fn forget(&mut self, span: &Span) {
        let Span { at: super::PageAddress { page, bytes: 0 }, length: Length::Pages(pages) } = span
        else {
            return;
        };
        let end = page.saturating_add_unsigned(*pages);
        let keep = |r: &Range<i64>| [r.start..r.end.min(*page), r.start.max(end)..r.end];
        self.registered =
            self.registered.iter().flat_map(keep).filter(|range| !range.is_empty()).collect();
    }
}

/// All pages that a span may cover, for pages of 4 KiB or more.
fn range(span: &Span) -> Range<i64> {
    let further = span.at.bytes.div_ceil(4096);
    let pages = match span.length {
        Length::Pages(pages) => pages,
        Length::Bytes(bytes) => bytes.div_ceil(4096),
    };
    // An old length of 0 covers the page there.
    let pages = pages.max(1).saturating_add(further);
    span.at.page..span.at.page.saturating_add_unsigned(pages)
}
