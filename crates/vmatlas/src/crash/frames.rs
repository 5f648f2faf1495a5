//! Names for the frames of stacks.

use crate::note::Note;
use std::collections::HashMap;
use vmatlas_linux::postmortem::{Frame, How};
use vmatlas_linux::symbols::{Module, Place, SymbolFrame, Symbolizer};
use vmatlas_maps::{Mapping, Maps};

/// Resolves the functions and lines of a dead process's stack, inlined functions included, each
/// with the address of its call. The stack ends at `main`, as in debuggers: the callers of `main`
/// explain nothing, and the C library's tables take longer to read than all the rest. `program` is
/// the name of the program's file. A file without a build id that was written after `written_ns` is
/// another; adds notes about such files. Also returns the number of the first frame that is a guess.
pub(super) fn name(
    maps: &Maps,
    program: Option<&[u8]>,
    build_id: &dyn Fn(&Mapping<'_>) -> Option<Vec<u8>>,
    frames: &[Frame],
    written_ns: u64,
    notes: &mut Vec<Note>,
) -> (Vec<SymbolFrame>, Option<usize>) {
    let mut symbolizer = Symbolizer::default();
    // A recursion repeats the same frame.
    let mut known: HashMap<(usize, u64), Vec<SymbolFrame>> = HashMap::new();
    // The row that holds a call, and the call's offset in that row's file.
    let place_of = |frame: &Frame| {
        let index = maps.find(frame.pc).mapping?;
        let row = maps.get(index)?;
        Some(((index, row.offset_of(frame.pc)), row))
    };
    let mut look_up = |frames: &[Frame], wanted: &dyn Fn(&Mapping<'_>) -> bool| {
        let mut asked: Vec<((usize, u64), Place)> = Vec::new();
        for frame in frames {
            let Some((key, row)) = place_of(frame).filter(|(_, row)| wanted(row)) else { continue };
            if known.contains_key(&key) || asked.iter().any(|(other, _)| *other == key) {
                continue;
            }
            let mut module = Module::default();
            module.path = row.name.to_vec();
            module.build_id = build_id(&row);
            module.written_by_ns = Some(written_ns);
            let module = symbolizer.add_module(module);
            asked.push((key, Place::File { module, offset: key.1 }));
        }
        let (keys, places): (Vec<_>, Vec<Place>) = asked.into_iter().unzip();
        known.extend(keys.into_iter().zip(symbolizer.symbolize(&places)));
        known.clone()
    };
    let named = look_up(frames, &|row| Some(row.name) == program);
    let is_main = |frame: &Frame| {
        let found = place_of(frame).and_then(|(key, _)| named.get(&key));
        found.is_some_and(|names| names.iter().any(|name| name.function == "main"))
    };
    let end = frames.iter().position(is_main).map_or(frames.len(), |main| main + 1);
    let frames = &frames[..end];
    let named = look_up(frames, &|row| row.name.first() == Some(&b'/') || row.name == b"[vdso]");
    let doubts = symbolizer.notes().map(|(_, note)| note).filter(|note| note.is_doubt());
    notes.extend(doubts.map(|doubt| Note::Names(doubt.to_string())));
    let mut all = Vec::new();
    let mut guessed = None;
    for frame in frames {
        if frame.how == How::Scanned {
            guessed = guessed.or(Some(all.len()));
        }
        let pc = Some(frame.pc);
        match place_of(frame).and_then(|(key, _)| named.get(&key)) {
            Some(names) => all.extend(names.iter().map(|name| SymbolFrame { pc, ..name.clone() })),
            None => all.push(nameless(maps, frame)),
        }
    }
    (all, guessed)
}

/// A frame in memory without a file.
fn nameless(maps: &Maps, frame: &Frame) -> SymbolFrame {
    let row = maps.find(frame.pc).mapping.and_then(|row| maps.get(row));
    let module = match row {
        Some(row) if !row.name.is_empty() => String::from_utf8_lossy(row.name).into_owned(),
        Some(_) => "[anonymous]".to_owned(),
        None => "[unmapped]".to_owned(),
    };
    let pc = Some(frame.pc);
    SymbolFrame { pc, offset: pc, module, ..SymbolFrame::default() }
}

/// The frame in the form that the explanation needs.
pub(super) fn of_crash(frame: &SymbolFrame) -> SymbolFrame {
    let source = frame.source.as_ref().map(|source| short(source));
    SymbolFrame { source, ..frame.clone() }
}

/// The file name of a source path, without its folders.
fn short(source: &str) -> String {
    source.rsplit('/').next().unwrap_or(source).to_owned()
}
