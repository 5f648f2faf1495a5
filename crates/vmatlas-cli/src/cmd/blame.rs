//! `vmatlas blame RECORDING`: who made what is mapped.

mod json;
mod profile;
mod text;

use crate::args::{BlameArgs, By};
use crate::moment::Moment;
use crate::output::{note, pager, words};
use crate::recording::{self, Recorded};
use crate::stacks::{Stacks, function, module_name, telling};
use crate::trouble::Trouble;
use std::collections::HashMap;
use std::path::Path;
use vmatlas::recording::{Maker, Origin};
use vmatlas::{AddressRange, Filter, Kind, Mapping, Maps};
use vmatlas_linux::symbols::{SymbolFrame, SymbolOptions};

/// What is mapped at a moment, piece by piece with who made it.
struct Blame {
    recorded: Recorded,
    maps: Maps,
    pieces: Vec<Piece>,
    stacks: Stacks,
}

/// Bytes of one mapping that are of one origin.
#[derive(Clone, Copy)]
struct Piece {
    /// The mapping, an index into the rows.
    row: usize,
    range: AddressRange,
    origin: Origin,
}

pub(crate) fn run(args: &BlameArgs) -> Result<bool, Trouble> {
    let is_file = |path: &str| Path::new(path).is_file();
    let name = &args.recording;
    let moment = Moment::of(name, &args.moment, is_file).ok_or_else(|| {
        Trouble::new(format!("{}: there is no such recording", words::printable(name.as_bytes())))
    })?;
    let recorded = Recorded::at(recording::open(&moment.path)?, &moment)?;
    let blame = Blame::of(recorded, args)?;
    if !args.common.quiet {
        let warnings = blame.recorded.warnings.iter().chain(&blame.stacks.notes);
        warnings.for_each(|warning| note(&format!("{name}: {warning}")));
    }
    if let Some(path) = &args.pprof {
        blame.write(path, &profile::pprof(&blame))?;
    }
    if let Some(path) = &args.svg {
        blame.write(path, &profile::svg(&blame)?)?;
    }
    if args.common.json {
        json::print(&blame)?;
    } else if args.folded {
        pager::print(&profile::folded(&blame))?;
    } else if args.pprof.is_none() && args.svg.is_none() {
        pager::print(&text::text(&blame, args))?;
    }
    Ok(true)
}

impl Blame {
    fn of(mut recorded: Recorded, args: &BlameArgs) -> Result<Blame, Trouble> {
        if args.filter.as_ref().is_some_and(Filter::needs_sizes) {
            return Err(Trouble::new(
                "a recording has no sizes of smaps: --where cannot ask for one",
            ));
        }
        let maps = recorded.space().memory.maps();
        let since = args.since.map(|since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        let mut pieces = Vec::new();
        for (row, mapping) in maps.iter().enumerate() {
            let wanted = args.filter.as_ref().is_none_or(|filter| filter.matches(&mapping));
            if !wanted || mapping.kind() == Kind::Vsyscall {
                continue;
            }
            let grows = mapping.kind() == Kind::Stack;
            let own = recorded.space().origins_of(mapping.range, grows).into_iter();
            let new = own.filter(|(_, origin)| since.is_none_or(|since| origin.time_ns >= since));
            pieces.extend(new.map(|(range, origin)| Piece { row, range, origin }));
        }
        let origins = pieces.iter().map(|piece| &piece.origin);
        let stacks = Stacks::of(&mut recorded.recording, origins, SymbolOptions::default());
        Ok(Blame { recorded, maps, pieces, stacks })
    }

    fn mapping(&self, piece: &Piece) -> Mapping<'_> {
        self.maps.get(piece.row).expect("a piece is of a row")
    }

    fn frames(&self, origin: &Origin) -> &[SymbolFrame] {
        self.stacks.get(self.recorded.recording.definitions(), origin)
    }

    /// The thread that made something, as `NAME (TID)`.
    fn thread(&self, origin: &Origin) -> String {
        match self.recorded.recording.definitions().tasks.get(origin.task as usize) {
            Some(task) if origin.task != 0 => {
                format!("{} ({})", words::printable(&task.comm), task.tid)
            }
            _ => "unknown".to_owned(),
        }
    }

    /// The frames in one line: from the function that wanted memory outwards.
    fn line(&self, origin: &Origin, most: usize) -> String {
        let frames = telling(self.frames(origin));
        let names: Vec<String> = frames.iter().take(most).map(function).collect();
        names.join(" < ")
    }

    /// What bytes of an origin are summed up under.
    fn key(&self, origin: &Origin, by: By) -> String {
        let frame = telling(self.frames(origin)).first();
        match (by, origin.maker) {
            (By::Thread, Maker::Call(_)) => self.thread(origin),
            (By::Function, Maker::Call(_)) => {
                frame.map_or_else(|| "stack unknown".to_owned(), function)
            }
            (By::Module, Maker::Call(_)) => {
                frame.map_or_else(|| "stack unknown".to_owned(), module_name)
            }
            (By::Stack, Maker::Call(kind)) => format!("{} {}", kind.name(), origin.stack),
            (_, maker) => maker.name().to_owned(),
        }
    }

    /// The groups of bytes, the largest first.
    fn ranking(&self, by: By) -> Vec<Rank<'_>> {
        let mut ranks: Vec<Rank<'_>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for piece in &self.pieces {
            let place = *places.entry(self.key(&piece.origin, by)).or_insert_with_key(|key| {
                ranks.push(Rank { key: key.clone(), bytes: 0, pieces: Vec::new() });
                ranks.len() - 1
            });
            ranks[place].bytes += piece.range.size();
            ranks[place].pieces.push(piece);
        }
        ranks.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.key.cmp(&b.key)));
        ranks
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
        let shown = path.display().to_string();
        std::fs::write(path, bytes).map_err(|error| Trouble::file(&shown, error))
    }
}

/// Bytes that go together.
struct Rank<'a> {
    key: String,
    bytes: u64,
    pieces: Vec<&'a Piece>,
}
