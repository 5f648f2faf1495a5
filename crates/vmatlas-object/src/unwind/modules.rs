//! What is executable in one address space.

use super::image::Image;
use super::images::{Backing, CodeFile, FileId, Images};
use std::sync::Arc;
use vmatlas_maps::AddressRange;

/// Code by its place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodePlace {
    /// Which file.
    pub file: FileId,
    /// In bytes from the start of the file.
    pub offset: u64,
}

/// What is executable in one address space, kept up by the calls that change it. A clone costs
/// nothing until one of the two changes, as after fork(2).
///
/// Of files it knows every mapping, since mprotect(2) may make it executable; of anonymous memory
/// only what is executable.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// Sorted, no two of them overlap.
    spans: Arc<Vec<Span>>,
}

/// A mapping or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Span {
    range: AddressRange,
    executable: bool,
    file: Option<SpanFile>,
}

#[derive(Clone, Debug)]
struct SpanFile {
    backing: Arc<Backing>,
    /// Where in the file the range begins.
    offset: u64,
    /// What is known once it is executable.
    code: Option<(FileId, Option<Arc<Image>>)>,
}

impl Span {
    /// The part of it that is in `range`.
    fn cut(&self, range: AddressRange) -> Option<Span> {
        let start = self.range.start.max(range.start);
        let end = self.range.end.min(range.end);
        if start >= end {
            return None;
        }
        let mut part = self.clone();
        part.range = AddressRange::new(start, end);
        if let Some(file) = &mut part.file {
            file.offset = file.offset.wrapping_add(start - self.range.start);
        }
        Some(part)
    }

    /// Whether `next` goes on where this ends, so that both could be one.
    fn goes_on(&self, next: &Span) -> bool {
        let same_file = match (&self.file, &next.file) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                let id = |file: &SpanFile| file.code.as_ref().map(|(id, _)| *id);
                a.offset.wrapping_add(self.range.size()) == b.offset
                    && id(a) == id(b)
                    && a.backing == b.backing
            }
            _ => false,
        };
        self.range.end == next.range.start && self.executable == next.executable && same_file
    }

    pub(super) fn place(&self, pc: u64) -> Option<CodePlace> {
        let file = self.file.as_ref()?;
        let (id, _) = file.code.as_ref()?;
        let offset = file.offset.wrapping_add(pc.wrapping_sub(self.range.start));
        Some(CodePlace { file: *id, offset })
    }

    pub(super) fn image(&self) -> Option<&Image> {
        self.file.as_ref()?.code.as_ref()?.1.as_deref()
    }

    /// Whether it is the kernel's vDSO.
    pub(super) fn is_vdso(&self) -> bool {
        self.file.as_ref().is_some_and(|file| *file.backing.name == *b"[vdso]")
    }
}

impl Modules {
    /// A file was mapped. Replaces what was there. `open` gives the file itself, for its unwind
    /// tables, and is called only if it is executable; without it frame pointers have to do.
    pub fn map_file(
        &mut self,
        images: &mut Images,
        range: AddressRange,
        offset: u64,
        backing: &Arc<Backing>,
        executable: bool,
        open: impl FnOnce() -> Option<CodeFile>,
    ) {
        let code = executable.then(|| images.of_file(backing, open()));
        let file = Some(SpanFile { backing: backing.clone(), offset, code });
        self.replace(range, Some(Span { range, executable, file }));
    }

    /// Memory that the kernel filled with an ELF image was mapped: the vDSO. `bytes` are what is
    /// in it.
    pub fn map_bytes(
        &mut self,
        images: &mut Images,
        range: AddressRange,
        backing: &Arc<Backing>,
        bytes: &[u8],
    ) {
        let code = Some(images.of_bytes(backing, bytes));
        let file = Some(SpanFile { backing: backing.clone(), offset: 0, code });
        self.replace(range, Some(Span { range, executable: true, file }));
    }

    /// Memory without a file was mapped. Replaces what was there.
    pub fn map_anonymous(&mut self, range: AddressRange, executable: bool) {
        self.replace(range, executable.then_some(Span { range, executable, file: None }));
    }

    /// Memory was unmapped, or is no file's any more.
    pub fn unmap(&mut self, range: AddressRange) {
        self.replace(range, None);
    }

    /// mprotect(2) did so. `open` gives a file that becomes executable.
    pub fn protect(
        &mut self,
        images: &mut Images,
        range: AddressRange,
        executable: bool,
        mut open: impl FnMut(&Backing) -> Option<CodeFile>,
    ) {
        let inside = self.overlapping(range);
        let as_it_is = self.spans[inside.clone()].iter().all(|span| span.executable == executable);
        let covered = || {
            let sizes = self.spans[inside.clone()].iter().filter_map(|span| span.cut(range));
            sizes.map(|span| span.range.size()).sum::<u64>() == range.size()
        };
        if as_it_is && (!executable || covered()) {
            return;
        }
        let mut new = Vec::new();
        let mut at = range.start;
        let anonymous = |start, end| {
            let range = AddressRange::new(start, end);
            (executable && start < end).then_some(Span { range, executable, file: None })
        };
        for mut span in self.spans[inside].iter().filter_map(|span| span.cut(range)) {
            new.extend(anonymous(at, span.range.start));
            at = span.range.end;
            span.executable = executable;
            if let Some(file) = &mut span.file
                && executable
                && file.code.is_none()
            {
                file.code = Some(images.of_file(&file.backing, open(&file.backing)));
            }
            if executable || span.file.is_some() {
                new.push(span);
            }
        }
        new.extend(anonymous(at, range.end));
        self.replace(range, new);
    }

    /// mremap(2) moved, grew or shrank a mapping. The old range is gone unless `kept`, as with an
    /// old size of 0 or `MREMAP_DONTUNMAP`; for the former, `old` is what `new` shows again.
    pub fn remap(&mut self, old: AddressRange, new: AddressRange, kept: bool) {
        let size = new.size().min(old.size());
        let from = AddressRange::new(old.start, old.start.saturating_add(size));
        let inside = self.overlapping(from);
        let mut moved: Vec<Span> =
            self.spans[inside].iter().filter_map(|span| span.cut(from)).collect();
        for span in &mut moved {
            let start = new.start.wrapping_add(span.range.start - old.start);
            // What was the end of the mapping grows.
            let whole = span.range.end == from.end && new.size() > old.size();
            let end = if whole { new.end } else { start.saturating_add(span.range.size()) };
            span.range = AddressRange::new(start, end);
        }
        if !kept {
            self.replace(old, None);
        }
        self.replace(new, moved);
    }

    /// Where in a file the code at this address is; none in code made at run time, and where
    /// nothing is executable.
    pub fn find(&self, pc: u64) -> Option<CodePlace> {
        self.span(pc)?.place(pc)
    }

    /// Whether this may be executed.
    pub fn is_executable(&self, pc: u64) -> bool {
        self.span(pc).is_some()
    }

    /// The executable span with this address.
    #[inline]
    pub(super) fn span(&self, pc: u64) -> Option<&Span> {
        let before = self.spans.partition_point(|span| span.range.start <= pc).checked_sub(1)?;
        let span = &self.spans[before];
        (span.executable && pc < span.range.end).then_some(span)
    }

    /// Which spans have an address in common with the range.
    fn overlapping(&self, range: AddressRange) -> std::ops::Range<usize> {
        let first = self.spans.partition_point(|span| span.range.end <= range.start);
        let end = self.spans.partition_point(|span| span.range.start < range.end);
        first..end.max(first)
    }

    /// Puts `new`, which lies in `range`, in the place of all that was in it.
    fn replace(&mut self, range: AddressRange, new: impl IntoIterator<Item = Span>) {
        let inside = self.overlapping(range);
        let mut new = new.into_iter().filter(|span| span.range.size() > 0).peekable();
        if inside.is_empty() && new.peek().is_none() {
            // Most calls are about other memory.
            return;
        }
        // From the neighbour before to the one after: either may go on in what is new.
        let first = inside.start.saturating_sub(1);
        let end = (inside.end + 1).min(self.spans.len());
        let left = AddressRange::new(0, range.start);
        let right = AddressRange::new(range.end, u64::MAX);
        let before = self.spans[first..inside.end].iter().filter_map(|span| span.cut(left));
        let after = self.spans[inside.start..end].iter().filter_map(|span| span.cut(right));
        let mut spans: Vec<Span> = Vec::new();
        for span in before.chain(new).chain(after) {
            match spans.last_mut() {
                Some(last) if last.goes_on(&span) => {
                    last.range = last.range.with_end(span.range.end);
                }
                _ => spans.push(span),
            }
        }
        Arc::make_mut(&mut self.spans).splice(first..end, spans);
    }
}
