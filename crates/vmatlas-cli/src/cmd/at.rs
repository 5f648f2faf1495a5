//! `vmatlas at TARGET ADDR…`: all that is known about an address.

use crate::args::AtArgs;
use crate::core::{Core, FileNow};
use crate::output::json::{self, Hex, LabelJson, MappingJson};
use crate::output::origin::OriginJson;
use crate::output::words::{printable, size};
use crate::row::Row;
use crate::target::{Target, Want};
use crate::trouble::Trouble;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;
use vmatlas::{AddressRange, Kind, Mapping};
use vmatlas_linux::elf::{ElfFile, demangle};
use vmatlas_linux::{Images, within};

pub(crate) fn run(args: &AtArgs) -> Result<bool, Trouble> {
    let mut target = Target::read(
        &args.target,
        &args.common.proc,
        &args.moment,
        Want { sizes: false, truths: true },
    )?;
    target.find_origins();
    target.look(args.deep, false);
    target.find_labels(args.deep);
    target.warn(&args.common);
    let places: Vec<At<'_>> =
        args.addresses.iter().map(|&address| At::find(&target, address)).collect();
    if args.common.json {
        json::print(&places)?;
    } else {
        let text: Vec<String> = places.iter().map(|place| place.text(&target)).collect();
        std::io::stdout().write_all(text.join("\n").as_bytes())?;
    }
    Ok(places.iter().all(|place| place.mapped))
}

/// What is known about an address; a document of `at --json`.
#[derive(Serialize)]
struct At<'a> {
    address: Hex,
    mapped: bool,
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
    file_system: Option<FileSystem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elf: Option<Elf>,
    /// Whether the core dump holds the byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    dumped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<LabelJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<OriginJson<'a>>,
    verdict: String,
}

/// The file system of a mapped file.
#[derive(Serialize)]
struct FileSystem {
    #[serde(rename = "type")]
    fs_type: String,
    source: String,
    mount_point: String,
}

/// What the ELF file says of an address.
#[derive(Default, Serialize)]
struct Elf {
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vaddr: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_bias: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol_offset: Option<u64>,
    /// The table that the symbol is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol_source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<String>,
    /// The source file and line.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Why the file of today says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// How long symbols and lines may take to be read.
const LIMIT: Duration = Duration::from_secs(15);

impl<'a> At<'a> {
    fn find(target: &'a Target, address: u64) -> At<'a> {
        let place = target.maps.find(address);
        let row = |index: Option<usize>| index.and_then(|index| Row::of(target, index));
        let (mapping, before, after) = (row(place.mapping), row(place.before), row(place.after));
        let with_file = mapping.filter(|row| row.mapping.has_file());
        let file_offset =
            with_file.map(|row| row.mapping.offset.wrapping_add(address - row.mapping.range.start));
        let mut at = At {
            address: Hex(address),
            mapped: mapping.is_some(),
            distance_before: before.map(|row| address - row.mapping.range.end),
            distance_after: after.map(|row| row.mapping.range.start - address),
            file_offset: file_offset.map(Hex),
            file_system: with_file.and_then(|row| file_system(target, &row)),
            elf: match &target.core {
                Some(core) => mapping.and_then(|row| elf_of_core(core, &row, address)),
                None => with_file.and_then(|row| elf(target, row.index, address, file_offset?)),
            },
            dumped: target
                .core
                .as_ref()
                .zip(mapping)
                .map(|(core, row)| core.dump.dumped(row.mapping.range).contains(address)),
            mapping: mapping.map(MappingJson),
            before: before.map(MappingJson),
            after: after.map(MappingJson),
            label: target.labels.at(address).map(|part| LabelJson::of(&part.label)),
            origin: mapping.and_then(|_| origin(target, address)),
            verdict: String::new(),
        };
        at.verdict = at.sentence();
        at
    }

    /// One plain sentence.
    fn sentence(&self) -> String {
        let address = self.address.0;
        let Some(MappingJson(row)) = &self.mapping else {
            let beside = |row: &Option<MappingJson<'_>>, distance: Option<u64>, where_to: &str| {
                let (row, distance) = (&row.as_ref()?.0, distance?);
                Some(format!("{} {where_to} {}", bytes(distance), what(row)))
            };
            let below = beside(&self.before, self.distance_before, "above the end of");
            let above = beside(&self.after, self.distance_after, "below the start of");
            let places: Vec<String> = below.into_iter().chain(above).collect();
            let places = places.join(" and ");
            return match places.as_str() {
                "" => format!("{address:#x} is not mapped: there are no mappings."),
                places => format!("{address:#x} is not mapped: it lies {places}."),
            };
        };
        let mut sentence = format!("{address:#x} lies in {}", what(row));
        if let Some(elf) = &self.elf {
            if let (Some(symbol), Some(offset)) = (&elf.symbol, elf.symbol_offset) {
                let _ = write!(
                    sentence,
                    ", {offset} bytes into {}",
                    printable(demangle(symbol.as_bytes()).as_bytes())
                );
            } else if let Some(section) = &elf.section {
                let _ = write!(sentence, ", section {}", printable(section.as_bytes()));
            }
        }
        let _ = write!(sentence, "; it may be {}", rights(&row.mapping));
        sentence.push_str(match row.mapping.perms.0[3] {
            b'p' => ", and is private to the process",
            _ if row.mapping.perms.shared() => ", and is shared with all who map the same",
            // Not every source says.
            _ => "",
        });
        if let Some(fs) = &self.file_system {
            let point = printable(fs.mount_point.as_bytes());
            let _ = write!(
                sentence,
                "; the file is on {} mounted at {point}",
                printable(fs.fs_type.as_bytes())
            );
        }
        sentence.push('.');
        sentence
    }

    fn text(&self, target: &Target) -> String {
        let mut text = format!("{}\n", self.verdict);
        let mut line = |word: &str, value: String| {
            let _ = writeln!(text, "  {word:<10} {value}");
        };
        if let Some(MappingJson(row)) = &self.mapping {
            let mapping = row.mapping;
            let into = self.address.0 - mapping.range.start;
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
            if let (Some(path), Some(offset)) = (row.path(), &self.file_offset) {
                line("file", format!("{} at offset {:#x}", printable(&path), offset.0));
                let certain = match row.truth {
                    Some(truth) if truth.certain => "proven by device and inode",
                    Some(_) => "not proven by a second source",
                    None if mapping.file_name().is_some_and(|file| file.ambiguous) => {
                        "can be read in another way, too: a text alone does not tell"
                    }
                    None if target.core.is_some() => "as the core has it",
                    None => "as the text has it",
                };
                let note = row.truth.map(|truth| truth.now.note()).filter(|note| !note.is_empty());
                line("name", note.map_or(certain.to_owned(), |note| format!("{certain}; {note}")));
            } else if !mapping.name.is_empty() {
                line("name", printable(mapping.name));
            }
            if mapping.inode != 0 {
                let mut device = format!("{} inode {}", mapping.device, mapping.inode);
                if let Some(fs) = &self.file_system {
                    let _ = write!(device, ", {} {} on {}", fs.fs_type, fs.source, fs.mount_point);
                }
                line("device", printable(device.as_bytes()));
            }
        }
        if let Some(label) = &self.label {
            line("label", format!("{} ({})", printable(label.text.as_bytes()), label.confidence));
            line("because", printable(label.because.as_bytes()));
        }
        if let Some(elf) = &self.elf {
            let mut shown = |word, value: &Option<String>| {
                if let Some(value) = value {
                    line(word, printable(value.as_bytes()));
                }
            };
            shown("segment", &elf.segment);
            shown("section", &elf.section);
            shown("vaddr", &elf.vaddr.as_ref().map(|vaddr| format!("{:#x}", vaddr.0)));
            shown("load bias", &elf.load_bias.as_ref().map(|bias| format!("{:#x}", bias.0)));
            let symbol = elf.symbol.as_ref().zip(elf.symbol_offset);
            let table = elf.symbol_source.as_deref().unwrap_or_default();
            let symbol = symbol.map(|(name, offset)| {
                format!("{}+{offset:#x} ({table})", demangle(name.as_bytes()))
            });
            shown("symbol", &symbol);
            shown("source", &elf.source);
            shown("build id", &elf.build_id);
            shown("note", &elf.note);
        }
        if let Some(origin) = &self.origin {
            line("origin", origin.line());
            for frame in &origin.stack {
                line("", printable(frame.line().as_bytes()));
            }
        }
        let near = [
            ("below", &self.before, self.distance_before),
            ("above", &self.after, self.distance_after),
        ];
        for (word, row, distance) in near {
            if let (Some(MappingJson(row)), Some(distance)) = (row, distance) {
                let mapping = row.mapping;
                line(
                    word,
                    format!(
                        "{} {} {}, {} away",
                        mapping.range,
                        mapping.perms,
                        what(row),
                        bytes(distance)
                    ),
                );
            }
        }
        if let Some(core) = &target.core
            && let Some(row) = &self.mapping
        {
            let range = row.0.mapping.range;
            let text = match core.dump.dumped(range).size() {
                0 => "nothing of it is in the core".to_owned(),
                held if held == range.size() => "all of it is in the core".to_owned(),
                held => format!("its first {} are in the core", size(held)),
            };
            line("dumped", text);
        }
        if target.live.is_none()
            && target.core.is_none()
            && self.mapping.as_ref().is_some_and(|row| row.0.mapping.has_file())
        {
            line("note", "a text says nothing of what is in the file".to_owned());
        }
        text
    }
}

fn bytes(count: u64) -> String {
    if count < 1024 {
        format!("{count} bytes")
    } else {
        format!("{count:#x} bytes ({})", size(count))
    }
}

/// What a mapping is, as a part of a sentence.
fn what(row: &Row<'_>) -> String {
    let mapping = row.mapping;
    if !mapping.tells_its_purpose()
        && let Some(label) = row.label()
    {
        return printable(label.text.as_bytes());
    }
    let perms = mapping.perms;
    match mapping.kind() {
        Kind::File | Kind::Device => {
            let path = row
                .path()
                .map_or_else(|| format!("inode {}", mapping.inode), |path| printable(&path));
            let gone = match row.deleted() {
                Some(true) => ", which is deleted",
                Some(false) => "",
                None => ", which is deleted unless \" (deleted)\" is a part of its name",
            };
            format!("{} {path}{gone}", perms.part_of_file())
        }
        Kind::Anonymous if perms.none() => {
            "addresses without a name that nothing may be done at (reserved or a guard)".to_owned()
        }
        Kind::Anonymous => "memory without a name".to_owned(),
        Kind::Heap => "the heap".to_owned(),
        Kind::Stack => "the stack of the first thread".to_owned(),
        Kind::ThreadStack { tid } => format!("the stack of thread {tid}"),
        Kind::NamedAnonymous { name } => format!("memory named {:?}", printable(name)),
        Kind::NamedSharedAnonymous { name } => format!("shared memory named {:?}", printable(name)),
        Kind::SharedAnonymous => "shared memory without a name".to_owned(),
        Kind::Memfd { name } => format!("memfd {:?}", printable(name)),
        Kind::SysvShm { key, id } => format!("System V shared memory, key {key:#x}, id {id}"),
        Kind::HugeAnonymous => "huge pages without a name".to_owned(),
        Kind::Vdso => "the kernel's code for user space, [vdso]".to_owned(),
        Kind::Vvar => "the kernel's data for [vdso]".to_owned(),
        Kind::Vsyscall => "the legacy gate page [vsyscall]".to_owned(),
        Kind::Secretmem => "secret memory (memfd_secret)".to_owned(),
        Kind::Aio => "a ring of asynchronous input and output".to_owned(),
        kind => format!("{} {}", kind.word(), printable(mapping.name)),
    }
}

fn rights(mapping: &Mapping<'_>) -> String {
    let perms = mapping.perms;
    let all = [("read", perms.read()), ("written", perms.write()), ("executed", perms.execute())];
    let list = |may: bool, and: &str| {
        let words: Vec<&str> =
            all.iter().filter(|(_, set)| *set == may).map(|(word, _)| *word).collect();
        words.join(and)
    };
    match (list(true, " and "), list(false, " or ")) {
        (may, not) if not.is_empty() => may,
        (may, not) if may.is_empty() => format!("neither {}", not.replace(" or ", " nor ")),
        (may, not) => format!("{may}, not {not}"),
    }
}

/// Who made the byte at an address, where it is of a recording.
fn origin(target: &Target, address: u64) -> Option<OriginJson<'_>> {
    let recorded = target.recorded.as_deref()?;
    let byte = AddressRange::new(address, address.checked_add(1)?);
    let (_, origin) = *recorded.space().origins_of(byte).first()?;
    Some(OriginJson::of(recorded, byte, &origin))
}

fn file_system(target: &Target, row: &Row<'_>) -> Option<FileSystem> {
    let files = target.live.as_ref()?.files.as_ref()?;
    let path = row.path();
    let mount = files.mounts().holding(row.mapping.device, path.as_deref().unwrap_or_default())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(FileSystem {
        fs_type: text(&mount.fs_type),
        source: text(&mount.source),
        mount_point: text(&mount.point),
    })
}

fn elf(target: &Target, index: usize, address: u64, file_offset: u64) -> Option<Elf> {
    let live = target.live.as_ref()?;
    let mut images =
        Images::open(live.files.as_ref()?, &target.maps, &live.truths, |row| row == index);
    let (file, bias) = images.take(index)?;
    within(LIMIT, move || facts(&file, bias, address, file_offset))
}

fn elf_of_core(core: &Core, row: &Row<'_>, address: u64) -> Option<Elf> {
    let FileNow { elf, bias, build_id } = core.file_now(&row.mapping)?;
    let file_offset = row.mapping.offset.wrapping_add(address - row.mapping.range.start);
    let found = match elf {
        Ok(file) => within(LIMIT, move || facts(&file, Some(bias), address, file_offset))
            .ok_or_else(|| "the file takes too long to read".to_owned()),
        Err(why) => Err(why),
    };
    Some(found.unwrap_or_else(|why| Elf {
        vaddr: Some(Hex(address.wrapping_sub(bias))),
        load_bias: Some(Hex(bias)),
        build_id,
        note: Some(why),
        ..Elf::default()
    }))
}

fn facts(file: &ElfFile, bias: Option<u64>, address: u64, file_offset: u64) -> Elf {
    let mut elf = Elf { build_id: file.build_id(), ..Elf::default() };
    let vaddr = bias.map(|bias| address.wrapping_sub(bias));
    let (segment, section) = match vaddr {
        Some(vaddr) => (file.segment_at(vaddr), file.section_at(vaddr)),
        None => (file.segment_at_offset(file_offset), file.section_at_offset(file_offset)),
    };
    elf.segment =
        segment.map(|segment| format!("{} {} {}", segment.index, segment.kind, segment.flags));
    elf.section = section.map(|section| section.name.clone());
    elf.vaddr = vaddr.map(Hex);
    elf.load_bias = bias.map(Hex);
    if let Some(vaddr) = vaddr {
        if let Ok(Some(symbol)) = file.symbol_at(vaddr) {
            elf.symbol = Some(String::from_utf8_lossy(symbol.name).into_owned());
            elf.symbol_offset = Some(symbol.offset);
            elf.symbol_source = Some(symbol.source.to_string());
        }
        if let Ok(Some(source)) = file.source_at(vaddr) {
            let line = source.line.map_or(String::new(), |line| format!(":{line}"));
            elf.source = Some(format!("{}{line}", source.file.display()));
        }
    }
    elf
}
