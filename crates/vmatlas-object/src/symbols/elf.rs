//! The frames at one address of a file.

use super::frame::SymbolFrame;
use crate::elf::{ElfError, ElfFile, SourceLocation, Vaddr, demangle};

/// The frames at `vaddr`, innermost first; empty if no name is known. If a part of the file could
/// not be read, the error is returned beside the frames from the other parts. `module` is the
/// module name to put into the frames.
pub fn frames_at(
    elf: &ElfFile,
    vaddr: Vaddr,
    module: &str,
) -> (Vec<SymbolFrame>, Option<ElfError>) {
    let mut damage = None;
    let mut keep = |error: ElfError| damage = damage.take().or(Some(error));
    let dwarf = elf.frames_at(vaddr).unwrap_or_else(|error| {
        keep(error);
        Vec::new()
    });
    let symbol = elf.symbol_at(vaddr).unwrap_or_else(|error| {
        keep(error);
        None
    });
    let symbol = symbol.map(|symbol| (Name::of(symbol.name), symbol.offset));
    let frame = |function, offset, source: Option<SourceLocation>, inlined| SymbolFrame {
        pc: None,
        function,
        offset: Some(offset),
        module: module.to_owned(),
        source: source.map(|source| text(&source)),
        inlined,
    };
    let mut frames = Vec::new();
    if let Some((outermost, inlined)) = dwarf.split_last()
        && (outermost.name.is_some() || symbol.is_some())
    {
        for inner in inlined {
            let name = inner.name.as_deref().map(demangle).unwrap_or_default();
            frames.push(frame(name, 0, inner.source.clone(), true));
        }
        // DWARF with only lines has names without a module path; the symbol's mangled name has it.
        let (label, offset) = symbol.unzip();
        let name = match (outermost.name.as_deref().map(Name::of), label) {
            (Some(name), Some(label)) if !name.was_mangled && label.was_mangled => label,
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => Name::default(),
        };
        let name = name.text;
        frames.push(frame(name, offset.unwrap_or(0), outermost.source.clone(), false));
        return (frames, damage);
    }
    let go = elf.go_frame_at(vaddr).unwrap_or_else(|error| {
        keep(error);
        None
    });
    let line = dwarf.into_iter().next_back().and_then(|frame| frame.source);
    match (go, symbol) {
        (Some(go), _) => {
            let name = String::from_utf8_lossy(go.name.as_deref().unwrap_or_default()).into_owned();
            let offset = go.vaddr.map_or(0, |start| vaddr.get().wrapping_sub(start));
            frames.push(frame(name, offset, go.source.or(line), false));
        }
        (None, Some((name, offset))) => frames.push(frame(name.text, offset, line, false)),
        (None, None) => {}
    }
    (frames, damage)
}

/// A demangled name.
#[derive(Default)]
struct Name {
    text: String,
    /// Whether the name in the file is mangled.
    was_mangled: bool,
}

impl Name {
    fn of(raw: &[u8]) -> Name {
        let text = demangle(raw);
        Name { was_mangled: text.as_bytes() != raw, text }
    }
}

fn text(source: &SourceLocation) -> String {
    let file = source.file.display();
    source.line.map_or_else(|| file.to_string(), |line| format!("{file}:{line}"))
}
