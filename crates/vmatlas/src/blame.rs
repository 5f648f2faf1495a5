//! The origins of mapped memory, piece by piece.

use crate::atlas::Atlas;
use crate::error::{Error, ErrorKind, Result};
use crate::folded_frames::{FoldedFrame, folded_frames};
use crate::recorded::{Made, Recorded};
use crate::row::Row;
use crate::stacks::{Stacks, requester_frames};
use crate::words;
use std::collections::{BTreeSet, HashMap};
use vmatlas_linux::symbols::SymbolFrame;
use vmatlas_maps::{AddressRange, Filter, Kind, Mapping};
use vmatlas_recording::{Maker, Origin, StackId, TaskId};

/// The key by which bytes are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlameBy {
    /// The call stack, [folded](folded_frames): equal stacks of all threads and calls are one.
    Stack,
    /// The innermost function that belongs to the program, or a word for what stands in its place.
    Function,
    /// The file of that function.
    Module,
    /// The thread.
    Thread,
}

/// The bytes to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Count {
    /// All mapped bytes, by the event that mapped them.
    #[default]
    Mapped,
    /// Resident bytes, by the event that mapped them.
    Resident,
    /// Resident bytes, by the thread that first touched them.
    Touched,
}

/// Mapped memory as pieces, each with its origin.
pub struct Blame<'a> {
    atlas: &'a Atlas,
    recorded: &'a Recorded,
    pieces: Vec<Piece>,
    stacks: Stacks,
}

/// Bytes of one mapping that share an origin.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Piece {
    /// The mapping, an index into the rows.
    pub row: usize,
    /// The bytes of the piece.
    pub range: AddressRange,
    /// The event that mapped or first touched them.
    pub origin: Origin,
}

/// Filters for the bytes to count.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct BlameOptions<'o> {
    /// The bytes to count.
    pub count: Count,
    /// Count only bytes mapped at or after this moment, in nanoseconds from the start.
    pub since_ns: Option<u64>,
    /// Count only rows that this filter matches.
    pub filter: Option<&'o Filter>,
}

/// A group of bytes with the same key.
#[non_exhaustive]
pub struct Rank<'b> {
    /// The key: a function, module or thread, or the functions of a folded stack.
    pub key: String,
    /// The size of the group in bytes.
    pub bytes: u64,
    /// The pieces.
    pub pieces: Vec<&'b Piece>,
    blame: &'b Blame<'b>,
}

impl Atlas {
    pub(crate) fn lacks_origins(&self) -> Error {
        let name = words::printable(self.name().as_bytes());
        Error::new(ErrorKind::Lacks, format!("{name}: neither a recording nor a log of strace"))
    }

    /// The origins of mapped memory. Resident bytes are counted only of an atlas that
    /// [`into_last_look`](Atlas::into_last_look) returned.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] if the source does not record origins or the bytes to count.
    pub fn pieces(&self, options: BlameOptions<'_>) -> Result<Blame<'_>> {
        let Some(recorded) = self.recorded() else { return Err(self.lacks_origins()) };
        let mut pieces = Vec::new();
        for row in self.rows() {
            let is_wanted = options.filter.is_none_or(|filter| filter.matches(&row));
            if !is_wanted || row.kind() == Kind::Vsyscall {
                continue;
            }
            let own = counted(recorded, &row, options.count)?.into_iter();
            let since = options.since_ns;
            let new = own.filter(|(_, origin)| since.is_none_or(|since| origin.time_ns >= since));
            pieces.extend(new.map(|(range, origin)| Piece { row: row.index(), range, origin }));
        }
        let origins = pieces.iter().map(|piece: &Piece| &piece.origin);
        let stacks = recorded.stacks_of(origins, self.symbols());
        Ok(Blame { atlas: self, recorded, pieces, stacks })
    }

    /// Sums mapped memory up by origin, the largest group first.
    ///
    /// # Errors
    /// Same as [`pieces`](Atlas::pieces).
    pub fn blame(&self, by: BlameBy) -> Result<Vec<BlameTotal>> {
        let blame = self.pieces(BlameOptions::default())?;
        Ok(blame.ranking(by).iter().map(BlameTotal::of).collect())
    }
}

impl<'a> Blame<'a> {
    /// The address space.
    pub fn atlas(&self) -> &'a Atlas {
        self.atlas
    }

    /// The process.
    pub fn recorded(&self) -> &'a Recorded {
        self.recorded
    }

    /// The pieces, in the order of their addresses.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Notes about missing or doubtful function names.
    pub fn notes(&self) -> &[String] {
        &self.stacks.notes
    }

    /// The mapping that a piece belongs to.
    pub fn mapping(&self, piece: &Piece) -> Mapping<'a> {
        self.atlas.maps().get(piece.row).expect("a piece is of a row")
    }

    /// The origin of a piece, with its call stack.
    pub fn made(&self, piece: &Piece) -> Made<'_> {
        let Piece { range, origin, .. } = *piece;
        Made { range, origin, recorded: self.recorded, stacks: &self.stacks }
    }

    /// The key under which a piece is summed up.
    fn key(&self, piece: &Piece, by: BlameBy) -> String {
        let (maker, made) = (piece.origin.maker, self.made(piece));
        if !matches!(maker, Maker::Call(_) | Maker::Touch) {
            return maker.name().to_owned();
        }
        let unknown = || "stack unknown".to_owned();
        match by {
            BlameBy::Thread => words::thread(made.task()),
            BlameBy::Function => {
                let asked = folded_frames(requester_frames(made.frames()));
                asked.first().map_or_else(unknown, |frame| match frame {
                    FoldedFrame::Program(frame) => words::function(frame),
                    FoldedFrame::Passed(word) => word.clone(),
                })
            }
            BlameBy::Module => {
                let frame = requester_frames(made.frames()).first();
                frame.map_or_else(unknown, words::module_name)
            }
            BlameBy::Stack if made.frames().is_empty() => maker.name().to_owned(),
            BlameBy::Stack => {
                let name = |frame: &FoldedFrame<'_>| match frame {
                    FoldedFrame::Program(frame) => {
                        format!("{} ({})", words::function(frame), words::module_name(frame))
                    }
                    FoldedFrame::Passed(word) => word.clone(),
                };
                let names: Vec<String> = folded_frames(made.frames()).iter().map(name).collect();
                names.join(" < ")
            }
        }
    }

    /// The groups of bytes, the largest first.
    pub fn ranking(&self, by: BlameBy) -> Vec<Rank<'_>> {
        let mut ranks: Vec<Rank<'_>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        // Folding a stack costs more than all else here.
        let mut keys: HashMap<(&str, StackId, TaskId), String> = HashMap::new();
        for piece in &self.pieces {
            let Origin { maker, stack, task, .. } = piece.origin;
            let key = keys.entry((maker.name(), stack, task));
            let key = key.or_insert_with(|| self.key(piece, by)).clone();
            let place = *places.entry(key).or_insert_with_key(|key| {
                let key = key.clone();
                ranks.push(Rank { key, bytes: 0, pieces: Vec::new(), blame: self });
                ranks.len() - 1
            });
            ranks[place].bytes += piece.range.size();
            ranks[place].pieces.push(piece);
        }
        ranks.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.key.cmp(&b.key)));
        ranks
    }
}

impl<'b> Rank<'b> {
    /// The origin of the piece that was mapped or touched first.
    pub fn first(&self) -> Option<Made<'b>> {
        let first = self.pieces.iter().min_by_key(|piece| piece.origin.event)?;
        Some(self.blame.made(first))
    }

    /// The number of events that mapped or touched the group.
    pub fn events(&self) -> usize {
        self.pieces.iter().map(|piece| piece.origin.event).collect::<BTreeSet<_>>().len()
    }

    /// The calls that mapped the group or what else made it, that of the most bytes first.
    pub fn makers(&self) -> Vec<&'static str> {
        let mut makers: Vec<(u64, &str)> = Vec::new();
        for piece in &self.pieces {
            let name = piece.origin.maker.name();
            match makers.iter_mut().find(|(_, known)| *known == name) {
                Some((bytes, _)) => *bytes += piece.range.size(),
                None => makers.push((piece.range.size(), name)),
            }
        }
        makers.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        makers.into_iter().map(|(_, name)| name).collect()
    }

    /// The number of threads that mapped or touched the group.
    pub fn threads(&self) -> usize {
        self.pieces.iter().map(|piece| piece.origin.task).collect::<BTreeSet<_>>().len()
    }
}

/// A group of bytes with the same key, without its pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlameTotal {
    /// The key: a function, module or thread, or the functions of a folded stack.
    pub key: String,
    /// The size of the group in bytes.
    pub bytes: u64,
    /// The number of calls that mapped the group.
    pub calls: usize,
    /// The number of threads that mapped the group.
    pub threads: usize,
    /// The call stack of the first call, innermost first.
    pub frames: Vec<SymbolFrame>,
}

impl BlameTotal {
    fn of(rank: &Rank<'_>) -> BlameTotal {
        BlameTotal {
            key: rank.key.clone(),
            bytes: rank.bytes,
            calls: rank.events(),
            threads: rank.threads(),
            frames: rank.first().map_or(Vec::new(), |made| made.frames().to_vec()),
        }
    }
}

/// The counted pieces of a mapping, with their origins.
fn counted(
    recorded: &Recorded,
    row: &Row<'_>,
    count: Count,
) -> Result<Vec<(AddressRange, Origin)>> {
    let (space, range) = (recorded.space(), row.range);
    let made = space.origins_of(range);
    if count == Count::Mapped {
        return Ok(made);
    }
    let resident = recorded.asked.and(space.resident.as_deref()).ok_or_else(|| {
        Error::new(
            ErrorKind::Lacks,
            "resident pages are known only of the last moment at which they were read",
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
        Count::Touched => inside(range).flat_map(|range| space.touched_in(range)).collect(),
        _ => made
            .into_iter()
            .flat_map(|(range, origin)| inside(range).map(move |part| (part, origin)))
            .collect(),
    })
}
