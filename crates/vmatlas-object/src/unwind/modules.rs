//! The executable mappings of one address space.

use super::image::Image;
use super::images::{Backing, CodeFile, FileId, Images};
use std::sync::Arc;
use vmatlas_maps::AddressRange;

/// A place of code in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CodePlace {
    /// The file.
    pub file: FileId,
    /// Bytes from the start of the file.
    pub offset: u64,
}

/// The executable mappings of one address space, updated by the calls that change it. A clone, as
/// after fork(2), shares its data until one of the two changes.
///
/// Every file mapping is kept, because mprotect(2) may make it executable. Anonymous memory is kept
/// only if it is executable.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// Sorted, without overlaps.
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
    /// File offset of the start of the range.
    offset: u64,
    /// The file's id and unwind data, once it is executable.
    code: Option<(FileId, Option<Arc<Image>>)>,
}

impl Span {
    /// The part of the span that is in `range`.
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

    /// Whether `next` continues this span, so that both can be merged.
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

    /// Whether the span is the kernel's vDSO.
    pub(super) fn is_vdso(&self) -> bool {
        self.file.as_ref().is_some_and(|file| *file.backing.name == *b"[vdso]")
    }
}

impl Modules {
    /// Records a file mapping, which replaces existing mappings in the range. `open` opens the file
    /// for its unwind tables, and is called only if the mapping is executable. If it returns
    /// `None`, the code is walked by frame pointers.
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

    /// Records a mapping that the kernel filled with an ELF image, the vDSO. `bytes` are its
    /// contents.
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

    /// Records an anonymous mapping, which replaces existing mappings in the range.
    pub fn map_anonymous(&mut self, range: AddressRange, executable: bool) {
        self.replace(range, executable.then_some(Span { range, executable, file: None }));
    }

    /// Removes the mappings in the range: they were unmapped or are no longer file mappings.
    pub fn unmap(&mut self, range: AddressRange) {
        self.replace(range, None);
    }

    /// Records an mprotect(2) call. `open` opens a file that becomes executable.
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

    /// Records an mremap(2) call that moved, grew or shrank a mapping. The old range is removed
    /// unless `kept` (an old size of 0, or `MREMAP_DONTUNMAP`). For an old size of 0, `old` is the
    /// range that `new` maps again.
    pub fn remap(&mut self, old: AddressRange, new: AddressRange, kept: bool) {
        let size = new.size().min(old.size());
        let from = AddressRange::new(old.start, old.start.saturating_add(size));
        let inside = self.overlapping(from);
        let mut moved: Vec<Span> =
            self.spans[inside].iter().filter_map(|span| span.cut(from)).collect();
        for span in &mut moved {
            let start = new.start.wrapping_add(span.range.start - old.start);
            // A part at the end of the mapping grows.
            let whole = span.range.end == from.end && new.size() > old.size();
            let end = if whole { new.end } else { start.saturating_add(span.range.size()) };
            span.range = AddressRange::new(start, end);
        }
        if !kept {
            self.replace(old, None);
        }
        self.replace(new, moved);
    }

    /// The place in a file of the code at this address; `None` for code made at run time and for
    /// non-executable memory.
    pub fn find(&self, pc: u64) -> Option<CodePlace> {
        self.span(pc)?.place(pc)
    }

    /// Whether the address is executable.
    pub fn is_executable(&self, pc: u64) -> bool {
        self.span(pc).is_some()
    }

    /// The executable span that contains the address.
    #[inline]
    pub(super) fn span(&self, pc: u64) -> Option<&Span> {
        let before = self.spans.partition_point(|span| span.range.start <= pc).checked_sub(1)?;
        let span = &self.spans[before];
        (span.executable && pc < span.range.end).then_some(span)
    }

    /// The indices of the spans that overlap the range.
    fn overlapping(&self, range: AddressRange) -> std::ops::Range<usize> {
        let first = self.spans.partition_point(|span| span.range.end <= range.start);
        let end = self.spans.partition_point(|span| span.range.start < range.end);
        first..end.max(first)
    }

    /// Replaces all spans in `range` by `new`, which must be inside `range`.
    fn replace(&mut self, range: AddressRange, new: impl IntoIterator<Item = Span>) {
        let inside = self.overlapping(range);
        let mut new = new.into_iter().filter(|span| span.range.size() > 0).peekable();
        if inside.is_empty() && new.peek().is_none() {
            // Most calls concern other memory.
            return;
        }
        // Includes the neighbours on both sides, which may merge with the new spans.
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
