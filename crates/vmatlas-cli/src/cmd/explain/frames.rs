//! Names for stacks.

use std::collections::HashMap;
use vmatlas::crash::CrashFrame;
use vmatlas::{Mapping, Maps};
use vmatlas_linux::postmortem::StackFrame;
use vmatlas_linux::symbols::{Module, Place, SymbolFrame, Symbolizer};

/// Functions and lines of a stack of a process that has ended, inlined functions too, each with
/// the address of its call.
pub(super) fn name(
    maps: &Maps,
    build_id: &dyn Fn(&Mapping<'_>) -> Option<Vec<u8>>,
    frames: &[StackFrame],
) -> Vec<(u64, SymbolFrame)> {
    let mut symbolizer = Symbolizer::default();
    let mut places: Vec<Place> = Vec::new();
    // A recursion has the same frame again and again.
    let mut known: HashMap<(Option<usize>, u64), Option<usize>> = HashMap::new();
    let asked: Vec<Option<usize>> = frames
        .iter()
        .map(|frame| {
            *known.entry((frame.row, frame.offset)).or_insert_with(|| {
                let row = maps.get(frame.row?)?;
                let has_file = row.name.first() == Some(&b'/') || row.name == b"[vdso]";
                has_file.then(|| {
                    let build_id = build_id(&row);
                    let module = Module { path: row.name.to_vec(), build_id, ..Module::default() };
                    let module = symbolizer.add_module(module);
                    places.push(Place::File { module, offset: frame.offset });
                    places.len() - 1
                })
            })
        })
        .collect();
    let named = symbolizer.symbolize(&places);
    let mut all = Vec::new();
    for (frame, asked) in frames.iter().zip(asked) {
        match asked.and_then(|at| named.get(at)) {
            Some(found) => all.extend(found.iter().map(|name| (frame.pc, name.clone()))),
            None => all.push((frame.pc, nameless(maps, frame))),
        }
    }
    all
}

/// A frame in memory without a file.
fn nameless(maps: &Maps, frame: &StackFrame) -> SymbolFrame {
    let row = frame.row.and_then(|row| maps.get(row));
    let module = match row {
        Some(row) if !row.name.is_empty() => String::from_utf8_lossy(row.name).into_owned(),
        Some(_) => "[anonymous]".to_owned(),
        None => "[unmapped]".to_owned(),
    };
    SymbolFrame { function: String::new(), offset: frame.pc, module, source: None, inlined: false }
}

/// The frame as the explanation takes it.
pub(super) fn of_crash(pc: Option<u64>, frame: &SymbolFrame) -> CrashFrame {
    CrashFrame {
        pc,
        module: Some(frame.module.clone()),
        offset: Some(frame.offset),
        function: Some(frame.function.clone()).filter(|name| !name.is_empty()),
        source: frame.source.as_ref().map(|source| short(source)),
    }
}

/// Without the folders of the file.
fn short(source: &str) -> String {
    source.rsplit('/').next().unwrap_or(source).to_owned()
}
