//! All known facts about addresses.

use super::Answer;
use super::csv::{self, Cell};
use super::json::formatter::Addresses;
use super::json::{self, Hex, LabelJson, MappingJson, Schema, TargetJson, WarningJson};
use super::origin::{FrameJson, OriginJson};
use super::style::Paint;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::beyond::Beyond;
use vmatlas::words::{self, bytes, printable, size};
use vmatlas::{Atlas, ObjectPlace, Place, Row, SourceKind, SymbolPlace};

/// The facts about some addresses of a target.
pub(crate) struct At<'a> {
    pub(crate) atlas: &'a Atlas,
    pub(crate) places: &'a [Place<'a>],
    /// Whether no others were printed before.
    pub(crate) is_first: bool,
}

impl Answer for At<'_> {
    fn text(&self, _: Paint) -> String {
        let before = if self.is_first { "" } else { "\n" };
        format!("{before}{}", self.places.iter().map(text).collect::<Vec<_>>().join("\n"))
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let place = |place| PlaceJson::of(place, addresses);
        let document = AtJson {
            schema: Schema,
            target: TargetJson::of(self.atlas),
            addresses: self.places.iter().map(place).collect(),
            warnings: json::warnings(self.atlas).collect(),
        };
        json::write(out, addresses, &document)
    }

    fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let place = |place| PlaceJson::of(place, Addresses::Text);
        let places: Vec<PlaceJson<'_>> = self.places.iter().map(place).collect();
        csv::write(out, &columns(), &places)
    }

    fn is_paged(&self) -> bool {
        false
    }
}

/// The document of `at --json`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AtJson<'a> {
    schema: Schema,
    target: TargetJson,
    addresses: Vec<PlaceJson<'a>>,
    warnings: Vec<WarningJson>,
}

/// The facts about an address.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PlaceJson<'a> {
    /// The address as it was given.
    address: Hex,
    /// The address without upper bits that are no part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    untagged: Option<Hex>,
    /// `null` if only a rollup covers the address.
    mapped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<MappingJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<MappingJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<MappingJson<'a>>,
    /// Bytes from the end of the mapping below to the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_before: Option<u64>,
    /// Bytes from the address to the start of the mapping above.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_offset: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_system: Option<FileSystem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elf: Option<Elf<'a>>,
    /// Whether the core dump holds the byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    dumped: Option<bool>,
    /// Whether it lies in a lightweight guard page; absent if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    guarded: Option<bool>,
    /// The size of the file now, in bytes, if the page lies behind its end: an access raises SIGBUS.
    #[serde(skip_serializing_if = "Option::is_none")]
    past_file_end: Option<u64>,
    /// The bytes of the mapping that the core dump holds, always its first.
    #[serde(skip_serializing_if = "Option::is_none")]
    dumped_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<LabelJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<OriginJson<'a>>,
    verdict: String,
}

/// The columns of `at --csv`.
fn columns<'a>() -> [csv::Column<PlaceJson<'a>>; 16] {
    [
        ("address", |place| Cell::address(place.address.0)),
        ("mapped", |place| {
            Cell::text(place.mapped.map_or("", |is| if is { "true" } else { "false" }))
        }),
        ("start", |place| Cell::field(place.mapping.as_ref(), "start")),
        ("end", |place| Cell::field(place.mapping.as_ref(), "end")),
        ("perms", |place| Cell::field(place.mapping.as_ref(), "perms")),
        ("name", |place| Cell::field(place.mapping.as_ref(), "name")),
        ("kind", |place| Cell::field(place.mapping.as_ref(), "kind")),
        ("file_offset", |place| Cell::known(place.file_offset.as_ref(), |at| Cell::address(at.0))),
        ("section", |place| Cell::of_elf(place, |elf| elf.section)),
        ("symbol", |place| Cell::of_elf(place, |elf| elf.demangled.as_deref().or(elf.symbol))),
        ("symbol_offset", |place| {
            Cell::known(place.elf.as_ref().and_then(|elf| elf.symbol_offset), Cell::number)
        }),
        ("source", |place| Cell::of_elf(place, |elf| elf.source.as_deref())),
        ("build_id", |place| Cell::of_elf(place, |elf| elf.build_id)),
        ("label", |place| Cell::text(place.label.as_ref().map_or("", |label| label.text))),
        ("confidence", |place| {
            Cell::text(place.label.as_ref().map_or("", |label| label.confidence))
        }),
        ("verdict", |place| Cell::text(&place.verdict)),
    ]
}

impl Cell {
    fn of_elf<'a>(
        place: &'a PlaceJson<'a>,
        value: impl Fn(&'a Elf<'a>) -> Option<&'a str>,
    ) -> Cell {
        Cell::text(place.elf.as_ref().and_then(value).unwrap_or_default())
    }
}

/// The file system of a mapped file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FileSystem<'a> {
    #[serde(rename = "type")]
    fs_type: &'a str,
    source: &'a str,
    mount_point: &'a str,
}

/// The facts about an address from the ELF file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Elf<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vaddr: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_bias: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
    /// The symbol as its language writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    demangled: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol_offset: Option<u64>,
    /// The table that holds the symbol.
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol_source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<&'a str>,
    /// The source file and line.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// The reason why today's file gives no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

impl<'a> PlaceJson<'a> {
    fn of(place: &'a Place<'a>, addresses: Addresses) -> PlaceJson<'a> {
        let row = |row: &Row<'a>| MappingJson { row: *row, labels: true, addresses };
        let (below, above) = (place.below.as_ref(), place.above.as_ref());
        PlaceJson {
            address: Hex(place.tagged.map_or(place.address, |tagged| tagged.pointer)),
            untagged: place.tagged.map(|tagged| Hex(tagged.address)),
            mapped: (!place.is_unknown()).then(|| place.is_mapped()),
            mapping: place.row.as_ref().map(row),
            before: below.map(|(below, _)| row(below)),
            after: above.map(|(above, _)| row(above)),
            distance_before: below.map(|(_, distance)| *distance),
            distance_after: above.map(|(_, distance)| *distance),
            file_offset: place.file_offset.map(Hex),
            file_system: place.file_system.as_ref().map(|fs| FileSystem {
                fs_type: &fs.kind,
                source: &fs.source,
                mount_point: &fs.mount_point,
            }),
            elf: place.object.as_ref().map(Elf::of),
            dumped: place.dumped,
            guarded: place.guarded.filter(|guarded| *guarded),
            past_file_end: place.past_file_end,
            dumped_size: place.row.and_then(|row| Some(row.atlas().dumped(row.range)?.size())),
            label: place.label.map(|part| LabelJson::of(&part.label)),
            origin: place.made.as_ref().map(OriginJson::of),
            verdict: sentence(place),
        }
    }
}

impl<'a> Elf<'a> {
    fn of(object: &'a ObjectPlace) -> Elf<'a> {
        let symbol = object.symbol.as_ref();
        Elf {
            segment: object.segment.as_deref(),
            section: object.section.as_deref(),
            vaddr: object.vaddr.map(Hex),
            load_bias: object.load_bias.map(Hex),
            symbol: symbol.map(|symbol| &*symbol.mangled),
            demangled: symbol
                .map(SymbolPlace::name)
                .filter(|name| symbol.is_some_and(|symbol| *name != symbol.mangled)),
            symbol_offset: symbol.map(|symbol| symbol.offset),
            symbol_source: symbol.map(|symbol| &*symbol.table),
            build_id: object.build_id.as_deref(),
            source: source(object),
            note: object.note.as_deref(),
        }
    }
}

/// Describes an address: in one sentence, or two if its pointer has other bits.
fn sentence(place: &Place<'_>) -> String {
    let tagged = place.tagged.as_ref();
    let tagged = tagged.map(|tagged| format!("{}. ", words::tagged(tagged)));
    format!("{}{}", tagged.unwrap_or_default(), location(place))
}

/// The mapping of an address, or its neighbours.
fn location(place: &Place<'_>) -> String {
    let address = place.address;
    let Some(row) = &place.row else {
        let beside = |beside: &Option<(Row<'_>, u64)>, where_to: &str| {
            let (row, distance) = beside.as_ref()?;
            Some(format!("{} {where_to} {}", bytes(*distance), words::mapping(row)))
        };
        let below = beside(&place.below, "above the end of");
        let above = beside(&place.above, "below the start of");
        let places: Vec<String> = below.into_iter().chain(above).collect();
        if let Some(rollup) = place.rollup.filter(|_| place.is_unknown()) {
            return format!(
                "{address:#x} may be mapped or not: it lies in the range of a rollup ({}), and the \
                 text does not list its mappings.",
                rollup.range
            );
        }
        let beside_row = place.below.as_ref().or(place.above.as_ref());
        let nowhere = match beside_row.map(|(row, _)| row.atlas().source()) {
            // They need not hold all mappings.
            Some(SourceKind::Text) => "is in no row of the text",
            Some(SourceKind::Document) => "is in no mapping of the document",
            Some(SourceKind::Log) => "is in no row that follows from the log",
            _ => "is not mapped",
        };
        if let Some(beyond) = place.beyond {
            let why = match beyond {
                Beyond::Kernel { is_certain: true } => {
                    "it is an address of the kernel, whose memory maps does not list"
                }
                Beyond::Kernel { .. } => {
                    "on most machines it is an address of the kernel, whose memory maps does not list"
                }
                Beyond::TooLong => "it has more than the 32 bits of an address of the process",
                _ => "it is no address at all (not canonical)",
            };
            return format!("{address:#x} {nowhere}: {why}.");
        }
        return match places.join(" and ").as_str() {
            "" if place.rollup.is_some() => {
                format!("{address:#x} lies outside the ranges of the text's rollups.")
            }
            "" => format!("{address:#x} {nowhere}: there are no mappings."),
            places => format!("{address:#x} {nowhere}: it lies {places}."),
        };
    };
    let mut sentence = format!("{address:#x} lies in {}", words::mapping(row));
    if let Some(symbol) = place.symbol() {
        let name = printable(symbol.name().as_bytes());
        let _ = write!(sentence, ", {} bytes into {name}", symbol.offset());
    } else if let Some(section) = place.object.as_ref().and_then(|object| object.section.as_ref()) {
        let _ = write!(sentence, ", section {}", words::name(section.as_bytes()));
    }
    if place.guarded == Some(true) {
        sentence.push_str("; it is in a guard page (MADV_GUARD_INSTALL): every access fails");
    } else if let Some(size) = place.past_file_end {
        let _ = write!(
            sentence,
            "; the file has {} now, so every access to this page raises SIGBUS",
            words::count(size, "byte")
        );
    } else if row.perms.none() && row.mapping().is_gate() {
        sentence.push_str("; it may be executed, though old kernels show no permissions for it");
    } else {
        let _ = write!(sentence, "; it may be {}", words::rights(row.perms));
        if place.guarded.is_none() {
            sentence.push_str(", unless it is in one of the mapping's guard pages");
        }
    }
    sentence.push_str(match row.perms.0[3] {
        _ if place.guarded == Some(true) || place.past_file_end.is_some() => "",
        b'p' if row.has_file() => ", and changes stay private to the process",
        b'p' => ", and is private to the process",
        _ if row.perms.shared() => ", and is shared with all processes that map the same memory",
        // Some sources do not record whether a mapping is shared.
        _ => "",
    });
    if let Some(fs) = &place.file_system {
        let point = printable(fs.mount_point.as_bytes());
        let _ = write!(
            sentence,
            "; the file is on {} mounted at {point}",
            printable(fs.kind.as_bytes())
        );
    }
    sentence.push('.');
    sentence
}

/// Describes an address in full, one line for each fact.
fn text(place: &Place<'_>) -> String {
    let mut text = format!("{}\n", sentence(place));
    let mut line = |word: &str, value: String| {
        let _ = writeln!(text, "  {word:<10} {value}");
    };
    if let Some(row) = &place.row {
        mapping_lines(place, row, &mut line);
    }
    if let Some(label) = place.label.map(|part| &part.label) {
        line("label", format!("{} ({})", printable(label.text.as_bytes()), label.confidence));
        line("because", printable(label.because.as_bytes()));
    }
    if let Some(object) = &place.object {
        object_lines(object, &mut line);
    }
    if let Some(made) = &place.made {
        line("origin", words::origin(made, 0));
        for frame in made.frames() {
            line("", printable(FrameJson::of(frame).line().as_bytes()));
        }
    }
    for (word, beside) in [("below", &place.below), ("above", &place.above)] {
        if let Some((row, distance)) = beside.as_ref().filter(|_| place.beyond.is_none()) {
            let (what, distance) = (words::mapping(row), bytes(*distance));
            line(word, format!("{} {} {what}, {distance} away", row.range, row.perms));
        }
    }
    if let Some(row) = &place.row {
        last_lines(row, &mut line);
    }
    text
}

fn mapping_lines(place: &Place<'_>, row: &Row<'_>, line: &mut impl FnMut(&str, String)) {
    let mapping = row.mapping();
    let into = place.address - mapping.range.start;
    line(
        "mapping",
        format!(
            "{} {} {}, {into:#x} bytes into it",
            mapping.range,
            mapping.perms,
            size(mapping.range.size())
        ),
    );
    line("kind", mapping.kind().word().to_owned());
    if let (Some(path), Some(offset)) = (row.path(), place.file_offset) {
        line("file", format!("{} at offset {offset:#x}", path.display()));
        let certain = match row.truth() {
            Some(truth) if truth.certain => "proven by device and inode",
            Some(_) => "not proven by a second source",
            None if mapping.file_name().is_some_and(|file| file.ambiguous) => {
                "can be read in another way, too: a text alone does not show which"
            }
            None => match row.atlas().source() {
                SourceKind::Core => "as the core has it",
                SourceKind::Recording => "as the recording has it",
                SourceKind::Log => "as the log has it",
                SourceKind::Document => "as the document has it",
                _ => "as the text has it",
            },
        };
        let note = row.truth().map(|truth| truth.now.note()).filter(|note| !note.is_empty());
        line("name", note.map_or(certain.to_owned(), |note| format!("{certain}; {note}")));
    } else if !mapping.name.is_empty() {
        line("name", printable(mapping.name));
    }
    if mapping.inode != 0 {
        let mut device = format!("{} inode {}", mapping.device, mapping.inode);
        if let Some(fs) = &place.file_system {
            let _ = write!(device, ", {} {} on {}", fs.kind, fs.source, fs.mount_point);
        }
        line("device", printable(device.as_bytes()));
    }
}

fn object_lines(object: &ObjectPlace, line: &mut impl FnMut(&str, String)) {
    let mut shown = |word, value: Option<String>| {
        if let Some(value) = value {
            line(word, printable(value.as_bytes()));
        }
    };
    shown("segment", object.segment.clone());
    shown("section", object.section.clone());
    shown("vaddr", object.vaddr.map(|vaddr| format!("{vaddr:#x}")));
    shown("load bias", object.load_bias.map(|bias| format!("{bias:#x}")));
    let symbol = object.symbol.as_ref();
    shown(
        "symbol",
        symbol.map(|symbol| format!("{}+{:#x} ({})", symbol.name(), symbol.offset, symbol.table)),
    );
    shown("source", source(object));
    shown("build id", object.build_id.clone());
    shown("note", object.note.clone());
}

fn last_lines(row: &Row<'_>, line: &mut impl FnMut(&str, String)) {
    if let Some(dumped) = row.atlas().dumped(row.range) {
        let text = match dumped.size() {
            0 => "nothing of it is in the core".to_owned(),
            held if held == row.range.size() => "all of it is in the core".to_owned(),
            held => format!("its first {} are in the core", size(held)),
        };
        line("dumped", text);
    }
    if row.atlas().source() == SourceKind::Text && row.has_file() {
        line("note", "a text does not contain the file".to_owned());
    }
}

/// The source file and line.
fn source(object: &ObjectPlace) -> Option<String> {
    let (file, line) = object.source.as_ref()?;
    let line = line.map_or(String::new(), |line| format!(":{line}"));
    Some(format!("{}{line}", file.display()))
}
