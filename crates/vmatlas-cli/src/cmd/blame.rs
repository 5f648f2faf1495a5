//! `vmatlas blame RECORDING|LOG`: who made what is mapped.

mod json;
mod life;
mod pprof;
mod profile;
mod text;

use crate::args::{BlameArgs, By, Count};
use crate::moment::Moment;
use crate::output::{note, pager, words};
use crate::recording::Recorded;
use crate::stacks::{function, module_name, telling};
use crate::target::{Target, Want};
use crate::trouble::Trouble;
use std::collections::HashMap;
use std::path::Path;
use vmatlas::recording::{Maker, Origin, Space};
use vmatlas::{AddressRange, Filter, Kind, Mapping, Maps};
use vmatlas_linux::recording_of;
use vmatlas_linux::symbols::SymbolFrame;

/// What is mapped at a moment, piece by piece with who made it.
struct Blame {
    recorded: Recorded,
    maps: Maps,
    pieces: Vec<Piece>,
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
    let name = &args.recording;
    let mut recorded = open(name, args)?;
    if args.debuginfod {
        recorded.symbols.debuginfod = Some("debuginfod-find".into());
    }
    if !args.addresses.is_empty() {
        return life::run(recorded, args);
    }
    let blame = Blame::of(recorded, args)?;
    if !args.common.quiet {
        let warnings = blame.recorded.warnings.iter().chain(&blame.recorded.stacks.notes);
        warnings.for_each(|warning| note(&format!("{name}: {warning}")));
    }
    if let Some(path) = &args.pprof {
        blame.write(path, &pprof::pprof(&blame))?;
    }
    if let Some(path) = &args.svg {
        blame.write(path, profile::svg(&blame)?.as_bytes())?;
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

/// A process of a recording or a log, or of the recording that is being made of a process that
/// lives.
fn open(name: &str, args: &BlameArgs) -> Result<Recorded, Trouble> {
    if name == "-" || Target::moment(name, &args.moment).is_some() {
        let want = Want { sizes: false, truths: false };
        let target = Target::read(name, &args.common.proc, &args.moment, want)?;
        let recorded = target.recorded.map(|recorded| *recorded);
        return recorded.ok_or_else(|| {
            let shown = words::printable(name.as_bytes());
            Trouble::new(format!("{shown}: neither a recording nor a log of strace"))
        });
    }
    let shown = words::printable(name.as_bytes());
    let Ok(pid) = name.parse() else {
        return Err(Trouble::new(format!("{shown}: there is no such recording")));
    };
    let Some(recording) = recording_of(pid) else {
        return Err(Trouble::new(format!(
            "{shown}: no vmatlas that may be seen records process {pid}; start the program with \
             vmatlas record -- CMD, or attach with vmatlas record -p {pid}"
        )));
    };
    let moment = Moment { path: name.to_owned(), pid: Some(pid), when: args.moment.at };
    Recorded::at(recording, &moment)
}

impl Blame {
    fn of(mut recorded: Recorded, args: &BlameArgs) -> Result<Blame, Trouble> {
        if args.filter.as_ref().is_some_and(Filter::needs_sizes) {
            return Err(Trouble::new(
                "recordings and logs have no sizes of smaps: --where cannot ask for one",
            ));
        }
        if args.filter.as_ref().is_some_and(Filter::needs_labels) {
            return Err(Trouble::new(
                "blame asks who made memory, not what it is for: --where cannot ask for a label",
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
            let own = counted(recorded.space(), &mapping, args.count)?.into_iter();
            let new = own.filter(|(_, origin)| since.is_none_or(|since| origin.time_ns >= since));
            pieces.extend(new.map(|(range, origin)| Piece { row, range, origin }));
        }
        recorded.name_stacks(pieces.iter().map(|piece: &Piece| &piece.origin));
        Ok(Blame { recorded, maps, pieces })
    }

    fn mapping(&self, piece: &Piece) -> Mapping<'_> {
        self.maps.get(piece.row).expect("a piece is of a row")
    }

    fn frames(&self, origin: &Origin) -> &[SymbolFrame] {
        self.recorded.frames(origin)
    }

    /// The thread that made something, as `NAME (TID)`.
    fn thread(&self, origin: &Origin) -> String {
        self.recorded.thread(origin.task)
    }

    /// What bytes of an origin are summed up under.
    fn key(&self, origin: &Origin, by: By) -> String {
        let maker = origin.maker;
        if !matches!(maker, Maker::Call(_) | Maker::Touch) {
            return maker.name().to_owned();
        }
        let frame = telling(self.frames(origin)).first();
        let unknown = || "stack unknown".to_owned();
        match by {
            By::Thread => self.thread(origin),
            By::Function => frame.map_or_else(unknown, function),
            By::Module => frame.map_or_else(unknown, module_name),
            By::Stack => format!("{} {}", maker.name(), origin.stack),
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

/// The pieces of a mapping that are counted, with who made or touched them.
fn counted(
    space: &Space,
    mapping: &Mapping<'_>,
    count: Count,
) -> Result<Vec<(AddressRange, Origin)>, Trouble> {
    let made = space.origins_of(mapping.range);
    if count == Count::Mapped {
        return Ok(made);
    }
    let resident = space.resident.as_deref().ok_or_else(|| {
        Trouble::new(
            "which pages are in memory was not recorded (record --pages), or not yet by that moment",
        )
    })?;
    let inside = |range: AddressRange| {
        let first = resident.partition_point(|other| other.end <= range.start);
        let until = resident[first..].iter().take_while(move |other| other.start < range.end);
        until.map(move |other| {
            AddressRange::new(other.start.max(range.start), other.end.min(range.end))
        })
    };
    Ok(match count {
        Count::Touched => inside(mapping.range).flat_map(|range| space.touched_in(range)).collect(),
        _ => made
            .into_iter()
            .flat_map(|(range, origin)| inside(range).map(move |part| (part, origin)))
            .collect(),
    })
}

/// Bytes that go together.
struct Rank<'a> {
    key: String,
    bytes: u64,
    pieces: Vec<&'a Piece>,
}
