//! Blame as a profile for pprof.
//!
//! The messages are the used parts of proto/profile.proto of github.com/google/pprof.

use super::dropped::{Dropped, profile_name};
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use std::collections::HashMap;
use std::io::Write as _;
use vmatlas::words::{function, thread};
use vmatlas::{Blame, SymbolFrame};

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    /// A regular expression for functions that are left out, with all that they call.
    #[prost(int64, tag = "7")]
    drop_frames: i64,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// The frames, innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    text: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    /// A function and its inlining callers, innermost first.
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// The tables of a profile under construction.
#[derive(Default)]
struct Tables {
    strings: HashMap<String, i64>,
    functions: HashMap<(i64, i64), u64>,
    mappings: HashMap<i64, u64>,
    locations: HashMap<Vec<SymbolFrame>, u64>,
    profile: Profile,
}

impl Tables {
    fn string(&mut self, text: &str) -> i64 {
        let next = self.profile.string_table.len() as i64;
        let number = *self.strings.entry(text.to_owned()).or_insert(next);
        if number == next {
            self.profile.string_table.push(text.to_owned());
        }
        number
    }

    fn mapping(&mut self, module: &str) -> u64 {
        let filename = self.string(module);
        let next = self.profile.mapping.len() as u64 + 1;
        let id = *self.mappings.entry(filename).or_insert(next);
        if id == next {
            self.profile.mapping.push(Mapping { id, filename, has_functions: true });
        }
        id
    }

    fn line(&mut self, frame: &SymbolFrame) -> Line {
        let (file, line) = match &frame.source {
            Some(source) => match source.rsplit_once(':') {
                Some((file, line)) => (file, line.parse().unwrap_or(0)),
                None => (source.as_str(), 0),
            },
            None => ("", 0),
        };
        let name = self.string(&profile_name(frame));
        let (system_name, filename) = (self.string(&function(frame)), self.string(file));
        let next = self.profile.function.len() as u64 + 1;
        let id = *self.functions.entry((system_name, filename)).or_insert(next);
        if id == next {
            let function = Function { id, name, system_name, filename };
            self.profile.function.push(function);
        }
        Line { function_id: id, line }
    }

    /// Adds a code location: a frame that is not inlined, after the frames inlined into it.
    fn location(&mut self, frames: &[SymbolFrame]) -> u64 {
        if let Some(id) = self.locations.get(frames) {
            return *id;
        }
        let id = self.profile.location.len() as u64 + 1;
        let mapping_id = frames.last().map_or(0, |frame| self.mapping(&frame.module));
        let line = frames.iter().map(|frame| self.line(frame)).collect();
        self.profile.location.push(Location { id, mapping_id, line });
        self.locations.insert(frames.to_vec(), id);
        id
    }
}

/// Writes the profile, gzipped as pprof requires: the bytes and pieces of mappings, by stack.
pub(crate) fn pprof(blame: &Blame<'_>) -> Vec<u8> {
    let (mut tables, mut dropped) = (Tables::default(), Dropped::default());
    // pprof requires that the first string is empty.
    tables.string("");
    for (kind, unit) in [("mapped", "bytes"), ("pieces", "count")] {
        let (kind, unit) = (tables.string(kind), tables.string(unit));
        tables.profile.sample_type.push(ValueType { kind, unit });
    }
    for piece in blame.pieces() {
        let (origin, made) = (&piece.origin, blame.made(piece));
        let mut frames = made.frames().to_vec();
        if frames.is_empty() {
            frames.push(SymbolFrame {
                function: origin.maker.name().to_owned(),
                ..SymbolFrame::default()
            });
        }
        dropped.add(&frames);
        let location_id = frames
            .chunk_by(|before, _| before.inlined)
            .map(|frames| tables.location(frames))
            .collect();
        let label = [("thread", thread(made.task())), ("call", origin.maker.name().to_owned())];
        let label =
            label.map(|(key, text)| Label { key: tables.string(key), text: tables.string(&text) });
        let value = vec![i64::try_from(piece.range.size()).unwrap_or(i64::MAX), 1];
        tables.profile.sample.push(Sample { location_id, value, label: label.to_vec() });
    }
    let began = blame.recorded().began_ns();
    tables.profile.time_nanos = i64::try_from(began).unwrap_or(0);
    tables.profile.drop_frames = tables.string(&dropped.expression());
    tables.profile.default_sample_type = tables.string("mapped");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = gzip.write_all(&tables.profile.encode_to_vec());
    gzip.finish().unwrap_or_default()
}
