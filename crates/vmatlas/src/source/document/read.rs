//! Reads documents, a row at a time.

use super::bounded::Bounded;
use super::facts::{Document, SCHEMA_VERSION};
use super::row::{Hex, RowIn};
use crate::error::{Error, ErrorKind, Result};
use crate::note::Note;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::time::Duration;
use vmatlas_explain::label::{ImageFacts, Labelled, Labels, ThreadFacts};
use vmatlas_linux::{CannotStop, Empty, Frozen, RunningThread};
use vmatlas_maps::{AddressRange, Maps, WarningKind, WordSize};

/// The most bytes to read whatever the limits: names are found by numbers of 32 bits.
const MAX: u64 = 4 << 30;
/// The most threads: the kernel's PID_MAX_LIMIT.
const MAX_THREADS: usize = 1 << 22;
/// The most programs and libraries, ranges, and warnings.
const MAX_LIST: usize = 1 << 18;

/// Whether the first bytes are those of a document of vmatlas: an object that names our schema, or,
/// if its keys were sorted, begins with a list that may be longer than these bytes.
pub(crate) fn looks_like_document(head: &[u8]) -> bool {
    let Some(object) = head.trim_ascii_start().strip_prefix(b"{") else { return false };
    let object = object.trim_ascii_start();
    let is_list = |key: &[u8]| value_of(key, object).is_some_and(|value| value.starts_with(b"["));
    let is_schema = |at: usize| {
        let value = object.get(at..).and_then(|text| value_of(b"\"schema\"", text));
        value.is_some_and(|value| value.starts_with(b"\"vmatlas/"))
    };
    is_list(b"\"images\"") || is_list(b"\"mappings\"") || (0..object.len()).any(is_schema)
}

/// The text from the value of a key on, if the text begins with the key.
fn value_of<'t>(key: &[u8], text: &'t [u8]) -> Option<&'t [u8]> {
    let colon = text.strip_prefix(key)?.trim_ascii_start();
    Some(colon.strip_prefix(b":")?.trim_ascii_start())
}

/// Reads a document, or lines of NDJSON, of at most `limit` bytes.
///
/// # Errors
/// [`ErrorKind::Unreadable`] if it is damaged, longer, of a newer schema, or of another command.
pub(crate) fn read(
    name: &str,
    input: impl Read,
    limit: u64,
    wanted: Option<u32>,
) -> Result<(Document, Maps, Vec<Note>)> {
    let error = |message: String| Error::new(ErrorKind::Unreadable, format!("{name}: {message}"));
    let limit = limit.min(MAX);
    let mut input = input.take(limit);
    let mut builder = Builder { wanted, ..Builder::default() };
    let result = values(&mut builder, io::BufReader::with_capacity(64 << 10, &mut input));
    if input.limit() == 0 {
        let most = vmatlas_maps::size::long(limit);
        return Err(error(format!("a document of JSON of more than {most}, which is not read")));
    }
    if let Err(found) = result {
        if found.is_io() {
            return Err(Error::file(name, found.into()));
        }
        return Err(error(match builder.refused {
            Some(refused) => refused,
            None => format!("a document of vmatlas that is damaged: {found}"),
        }));
    }
    builder.finish(name)
}

/// Reads the objects of a stream: one document, or a row on each line.
fn values(builder: &mut Builder, input: impl Read) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_reader(input);
    loop {
        builder.deserialize(&mut json)?;
        if builder.is_whole {
            return json.end();
        }
        // The end of the stream is no error between two lines.
        if json.end().is_ok() {
            return Ok(());
        }
    }
}

#[derive(Deserialize)]
struct RangeIn {
    start: Hex,
    end: Hex,
}

#[derive(Deserialize)]
struct RunningIn {
    tid: u32,
    why: String,
}

#[derive(Deserialize)]
struct FrozenIn {
    threads: usize,
    stood_ns: u64,
    #[serde(default)]
    running: Bounded<RunningIn, MAX_THREADS>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TargetIn {
    pid: Option<u32>,
    tid: Option<u32>,
    comm: String,
    page_size: Option<u64>,
    word_size: Option<u8>,
    kernel: Option<String>,
    time: Option<f64>,
    event: Option<u64>,
    time_s: Option<f64>,
    signal: Option<i32>,
    maps: Option<u64>,
    empty: Option<String>,
    moment: Bounded<RangeIn, MAX_LIST>,
    frozen: Option<FrozenIn>,
    doubts: Bounded<Hex, MAX_LIST>,
}

#[derive(Deserialize)]
struct ThreadIn {
    tid: u32,
    #[serde(default)]
    comm: String,
    stack_pointer: Option<Hex>,
    instruction_pointer: Option<Hex>,
    thread_pointer: Option<Hex>,
}

#[derive(Deserialize)]
struct WarningIn {
    #[serde(default)]
    kind: String,
    line: Option<u64>,
    message: String,
}

/// Milliseconds or nanoseconds of a time in seconds.
fn parts(seconds: f64, in_a_second: f64) -> u64 {
    (seconds * in_a_second).round() as u64
}

/// What was read so far.
#[derive(Default)]
struct Builder {
    /// The process whose lines of NDJSON are wanted.
    wanted: Option<u32>,
    maps: Maps,
    document: Document,
    labels: Vec<Labelled>,
    notes: Vec<Note>,
    word_size: Option<WordSize>,
    has_schema: bool,
    /// Whether a warning says that the rows are of several listings.
    is_listing_warned: bool,
    /// Whether a document with all mappings was read, and no line of NDJSON.
    is_whole: bool,
    /// The processes of the lines.
    pids: BTreeSet<u32>,
    /// Why the document is refused.
    refused: Option<String>,
}

impl Builder {
    /// Refuses the document, with the sentence for people.
    fn refuse<E: de::Error>(&mut self, why: impl Into<String>) -> E {
        let why = why.into();
        let error = E::custom(&why);
        self.refused = Some(why);
        error
    }

    fn schema(&mut self, schema: &str) -> std::result::Result<(), String> {
        let version = schema.strip_prefix("vmatlas/").and_then(|version| version.parse().ok());
        self.has_schema = true;
        match version {
            Some(SCHEMA_VERSION) => Ok(()),
            Some(newer) if newer > SCHEMA_VERSION => Err(format!(
                "a document of the schema {schema}, which is newer than this vmatlas: it reads \
                 vmatlas/{SCHEMA_VERSION}"
            )),
            _ => Err(format!(
                "a document of the schema {schema}, which is not known: vmatlas reads \
                 vmatlas/{SCHEMA_VERSION}"
            )),
        }
    }

    fn target(&mut self, target: TargetIn) {
        let range = |range: RangeIn| AddressRange::try_new(range.start.0, range.end.0);
        let document = &mut self.document;
        document.pid = target.pid;
        document.tid = target.tid;
        document.comm = target.comm;
        document.page_size = target.page_size;
        document.kernel = target.kernel;
        document.time_ms = target.time.map(|time| parts(time, 1e3));
        document.event = target.event;
        document.time_ns = target.time_s.map(|time| parts(time, 1e9));
        document.signal = target.signal;
        document.empty = target.empty.as_deref().and_then(Empty::named);
        document.changed = target.moment.0.into_iter().filter_map(range).collect();
        document.doubts = target.doubts.0.into_iter().map(|doubt| doubt.0).collect();
        document.frozen = target.frozen.map(|found| {
            let mut frozen = Frozen::default();
            frozen.threads = found.threads;
            frozen.stood = Duration::from_nanos(found.stood_ns);
            let running = found.running.0.into_iter().filter_map(|thread| {
                Some(RunningThread::new(thread.tid, CannotStop::displayed(&thread.why)?))
            });
            frozen.running = running.collect();
            frozen
        });
        if let Some(maps) = target.maps {
            self.maps.set_processes(maps);
        }
        self.word_size = match target.word_size {
            Some(32) => Some(WordSize::Bits32),
            Some(64) => Some(WordSize::Bits64),
            _ => None,
        };
    }

    fn row(&mut self, mut row: RowIn) -> std::result::Result<(), &'static str> {
        let index = self.maps.len();
        let (sections, origin) =
            (std::mem::take(&mut row.sections), std::mem::take(&mut row.origin));
        let facts = row.finish(&mut self.maps, &mut self.labels)?;
        self.document.rows.push(facts);
        if !sections.0.is_empty() {
            self.document.sections.insert(index, sections.0);
        }
        if !origin.is_empty() {
            self.document.origins.insert(index, origin);
        }
        Ok(())
    }

    fn warning(&mut self, warning: WarningIn) {
        let WarningIn { kind, line, message } = warning;
        let number = || message.split(' ').find_map(|word| word.parse::<u32>().ok());
        // Sums over several processes have no meaning.
        let listing = match kind.as_str() {
            "starts-over" => Some(WarningKind::StartsOver),
            "rollups" => number().map(|count| WarningKind::Rollups(count.into())),
            _ => None,
        };
        self.is_listing_warned |= listing.is_some();
        match listing {
            Some(kind) => self.maps.push_warning(line.unwrap_or(0), kind),
            None => self.notes.push(Note::Kept { kind, line, message }),
        }
    }

    fn finish(mut self, name: &str) -> Result<(Document, Maps, Vec<Note>)> {
        let refused = |kind, message: String| Err(Error::new(kind, format!("{name}: {message}")));
        if !self.has_schema {
            let message = "JSON without the schema of vmatlas".to_owned();
            return refused(ErrorKind::Unreadable, message);
        }
        if !self.is_whole && self.maps.is_empty() && self.wanted.is_none() {
            let message = "a document of vmatlas that has no mappings".to_owned();
            return refused(ErrorKind::NoRows, message);
        }
        if self.pids.len() > 1 {
            let list: Vec<String> = self.pids.iter().take(10).map(u32::to_string).collect();
            let message = format!(
                "rows of {} processes: {}; --pid PID selects one",
                self.pids.len(),
                list.join(", ")
            );
            return refused(ErrorKind::Ambiguous, message);
        }
        if let Some(wanted) = self.wanted.filter(|wanted| self.document.pid != Some(*wanted)) {
            return refused(ErrorKind::NoMoment, format!("it has no process {wanted}"));
        }
        if !self.is_whole && !self.is_listing_warned {
            // Lines of several files.
            self.maps.warn_of_several();
        }
        if let Some(word_size) = self.word_size {
            self.maps.set_word_size(word_size);
        }
        let Some(labels) = Labels::kept(&self.maps, self.labels) else {
            let message = "a document of vmatlas that is damaged: it has too many labels";
            return refused(ErrorKind::Unreadable, message.to_owned());
        };
        self.document.labels = labels;
        Ok((self.document, self.maps, self.notes))
    }
}

/// The command that writes documents with a key.
fn command_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "addresses" => "vmatlas at, or of the addresses of vmatlas blame",
        "added" | "removed" | "changed" => "vmatlas diff",
        "scenarios" => "vmatlas verify",
        "processes" => "vmatlas show --processes",
        "verdict" | "rule" => "vmatlas access",
        "cause" | "paragraph" => "vmatlas explain",
        "error" => "an error",
        _ => return None,
    })
}

impl<'de> DeserializeSeed<'de> for &mut Builder {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Builder {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document of vmatlas")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let mut row = RowIn::default();
        let (mut pid, mut comm, mut target) = (None, String::new(), TargetIn::default());
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "schema" => {
                    let schema: String = map.next_value()?;
                    self.schema(&schema).map_err(|why| self.refuse::<A::Error>(why))?;
                }
                "target" => {
                    let target = map.next_value()?;
                    self.target(target);
                }
                "mappings" => {
                    self.is_whole = true;
                    map.next_value_seed(Rows(self))?;
                }
                "threads" => {
                    let threads: Bounded<ThreadIn, MAX_THREADS> = map.next_value()?;
                    self.document.threads = threads.0.into_iter().map(thread).collect();
                }
                "images" => {
                    let images: Bounded<String, MAX_LIST> = map.next_value()?;
                    self.document.images = images.0.into_iter().map(image).collect();
                }
                "warnings" => {
                    let warnings: Bounded<WarningIn, MAX_LIST> = map.next_value()?;
                    warnings.0.into_iter().for_each(|warning| self.warning(warning));
                }
                "totals" => drop(map.next_value::<IgnoredAny>()?),
                // The process of a line.
                "pid" => pid = map.next_value()?,
                "comm" => comm = map.next_value()?,
                "time" => target.time = map.next_value()?,
                "time_s" => target.time_s = map.next_value()?,
                key => match command_of(key).filter(|_| !row.is_begun()) {
                    Some(command) => {
                        let why = match command {
                            "an error" => {
                                "a document of an error, which has no mappings".to_owned()
                            }
                            command => format!(
                                "a document of {command}, which is no map; give one of vmatlas show --json"
                            ),
                        };
                        return Err(self.refuse(why));
                    }
                    None => row.read(key, &mut map)?,
                },
            }
        }
        if row.is_begun() && !self.is_whole {
            if self.wanted.is_some_and(|wanted| pid != Some(wanted)) {
                return Ok(());
            }
            self.pids.extend(pid);
            if self.maps.is_empty() {
                (target.pid, target.comm) = (pid, comm);
                self.target(target);
            }
            self.row(row).map_err(|why| self.refuse::<A::Error>(why))?;
        }
        Ok(())
    }
}

fn thread(found: ThreadIn) -> ThreadFacts {
    let mut thread = ThreadFacts::default();
    thread.tid = found.tid;
    thread.comm = found.comm.into_bytes();
    thread.stack_pointer = found.stack_pointer.map(|hex| hex.0);
    thread.instruction_pointer = found.instruction_pointer.map(|hex| hex.0);
    thread.thread_pointer = found.thread_pointer.map(|hex| hex.0);
    thread
}

fn image(name: String) -> ImageFacts {
    let mut image = ImageFacts::default();
    image.name = name.into_bytes();
    image
}

/// The rows of a document, which are kept as they are read.
struct Rows<'b>(&'b mut Builder);

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mappings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> std::result::Result<(), A::Error> {
        while let Some(row) = rows.next_element::<RowIn>()? {
            self.0.row(row).map_err(|why| {
                let why = match why {
                    "a document of vmatlas blame" => {
                        format!(
                            "{why}, whose mappings are not whole; give one of vmatlas show --json"
                        )
                    }
                    why => format!("a document of vmatlas that is damaged: {why}"),
                };
                self.0.refuse::<A::Error>(why)
            })?;
        }
        Ok(())
    }
}
