//! The rows of one process, and the reader that builds them from text of any length.

use crate::kernel::{KernelVersion, WordSize};
use crate::kind::restore_line_feeds;
use crate::line::PartialLine;
use crate::mapping::{Device, Mapping, Perms, VSYSCALL};
use crate::names::Names;
use crate::parse::{RowError, RowErrorKind, parse_row, quick_row};
use crate::range::AddressRange;
use crate::render::{TextFormat, name_in};
use crate::smaps::{
    Fields, SIZES, SmapsField, SmapsValue, VmFlags, field_line, is_broken_size, is_smaps_size,
    is_smaps_value,
};
use crate::text::{
    Prefix, begins_like_a_row, broken_row, find_row, find_row_from, is_broken_tombstone_row,
    other_listing,
};
use crate::warning::{Warning, WarningKind, Warnings};
use crate::wrapper::{
    BrokenLines, Decoder, MAX_WRAPPED, Unwrapper, Wrapper, is_coloured_by_grep, is_wrapped,
    remove_colours, split_around, undo_cat,
};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// The longest line that is parsed, in bytes. The kernel does not bound a name (components have
/// 255 bytes, and each line feed is printed as four), but paths of real programs are far shorter.
pub const MAX_LINE: usize = 1 << 20;

/// The maximum number of rows: far more than any kernel's default `vm.max_map_count`.
const MAX_ROWS: usize = 1 << 24;
/// The maximum size of all names, in bytes.
const MAX_NAMES: usize = 1 << 28;
/// The maximum size of all smaps fields, in bytes; a row of a kernel takes 200.
const MAX_FIELDS: usize = 1 << 30;
/// 64 TiB: no stack or heap is this large, but a reservation may be.
const HUGE: u64 = 1 << 46;

/// The rows of a map. Each takes 48 bytes plus its name, which rows of one file share.
///
/// ```
/// let maps = vmatlas_maps::Maps::parse(b"1000-2000 r--p 00000000 00:00 0 \n4000-5000 rw-p 00000000 00:00 0 [heap]\n").unwrap();
/// assert_eq!(maps.len(), 2);
/// assert_eq!(maps.get(1).unwrap().name, b"[heap]");
/// assert_eq!(maps.find(0x4010).mapping, Some(1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Maps {
    rows: Vec<Row>,
    names: Names,
    fields: Option<Fields>,
    format: TextFormat,
    word_size: Option<WordSize>,
    warnings: Vec<Warning>,
    /// The number of maps of the text, if it was counted; no list of warnings is so long.
    counted: u64,
    /// Whether some row starts below the end of the one before it.
    unordered: bool,
}

/// Whether a row of that range begins another map, behind a row that is normally the last one.
fn starts_over(last: &Mapping<'_>, range: AddressRange) -> bool {
    let last_of_all: [&[u8]; 5] = [b"[stack]", b"[vdso]", b"[vsyscall]", b"[vectors]", b"[vvar]"];
    range.start < last.range.start && last_of_all.contains(&last.name)
}

/// A [`Mapping`] as stored.
#[derive(Clone, Copy, Debug)]
struct Row {
    range: AddressRange,
    offset: u64,
    inode: u64,
    device: Device,
    perms: Perms,
    name: u32,
}

impl Maps {
    /// Parses a map from text: maps, smaps, or any other text that contains such rows. An empty
    /// text is an empty map, as of a kernel thread.
    ///
    /// [`warnings`](Maps::warnings) lists the lines that could not be parsed. [`MapsReader`] also
    /// accepts a text without any row.
    ///
    /// ```
    /// use vmatlas_maps::Maps;
    /// let maps = Maps::parse(b"1000-2000 r--p 00000000 00:00 0 \nnonsense\n")?;
    /// assert_eq!((maps.len(), maps.warnings().len()), (1, 1));
    /// assert!(Maps::parse(b"")?.is_empty());
    /// assert!(Maps::parse(b"nonsense\n").is_err());
    /// # Ok::<(), vmatlas_maps::NoRowsError>(())
    /// ```
    ///
    /// # Errors
    /// [`NoRowsError`] if the text is not empty and has no row.
    pub fn parse(text: &[u8]) -> Result<Maps, NoRowsError> {
        let maps = MapsReader::read(text);
        if maps.is_empty() && !text.is_empty() {
            return Err(NoRowsError { looks_like: other_listing(text) });
        }
        Ok(maps)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the map has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Row number `index`, counted from 0 in the order of the text.
    pub fn get(&self, index: usize) -> Option<Mapping<'_>> {
        self.rows.get(index).map(|row| self.mapping(row))
    }

    /// The rows in the order of the text.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Mapping<'_>> + DoubleEndedIterator + Clone {
        self.rows.iter().map(|row| self.mapping(row))
    }

    #[inline]
    fn mapping(&self, row: &Row) -> Mapping<'_> {
        Mapping {
            range: row.range,
            perms: row.perms,
            offset: row.offset,
            device: row.device,
            inode: row.inode,
            name: self.names.get(row.name),
        }
    }

    /// The smaps fields of a row; empty if the text was maps.
    pub fn fields(&self, index: usize) -> impl Iterator<Item = SmapsField<'_>> {
        self.fields.as_ref().map(|fields| fields.iter(index)).unwrap_or_default()
    }

    /// The flags of a row, from the line `VmFlags` of smaps; `None` if the text has none.
    pub fn vm_flags(&self, index: usize) -> Option<VmFlags<'_>> {
        self.fields.as_ref()?.flags(index)
    }

    /// The fields of a row that sums are made from, in bytes; see [`SIZES`].
    pub(crate) fn sizes(&self, index: usize) -> [Option<u64>; SIZES.len()] {
        self.fields.as_ref().map(|fields| fields.sizes(index)).unwrap_or_default()
    }

    /// Whether rows have fields of smaps.
    pub fn has_fields(&self) -> bool {
        self.fields.is_some()
    }

    /// Problems found in the text.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The number of processes whose rows these are, as far as the text shows it: sums over more
    /// than one have no meaning.
    pub fn processes(&self) -> u64 {
        let of = |warning: &Warning| match warning.kind {
            WarningKind::StartsOver => 1,
            WarningKind::Rollups(count) => count.saturating_sub(1),
            _ => 0,
        };
        self.counted.max(1 + self.warnings.iter().map(of).sum::<u64>())
    }

    /// Sets the number of processes whose rows these are, if it is known to be larger than the
    /// warnings show.
    pub fn set_processes(&mut self, count: u64) {
        self.counted = count;
    }

    /// Warns if these rows are of several processes, as the reader of a text does: for rows that
    /// came one by one from another source.
    pub fn warn_of_several(&mut self) {
        let mut starts = Vec::new();
        let mut last: Option<Mapping<'_>> = None;
        for (index, row) in self.iter().enumerate().filter(|(_, row)| !row.is_rollup()) {
            if last.is_some_and(|last| starts_over(&last, row.range)) {
                starts.push(index);
            }
            last = Some(row);
        }
        let others = starts.len() + self.stacks_of_others(&starts);
        self.counted = 1 + others as u64;
        let kept = others.min(Warnings::MAX_KEPT);
        (0..kept).for_each(|_| self.push_warning(0, WarningKind::StartsOver));
        if let Some(kind) = self.rollups() {
            self.push_warning(0, kind);
        }
    }

    /// The warning of rollups, which are no mappings.
    fn rollups(&self) -> Option<WarningKind> {
        match self.iter().filter(Mapping::is_rollup).count() as u64 {
            0 => None,
            1 => (self.len() > 1).then_some(WarningKind::RollupOfRows),
            rollups => Some(WarningKind::Rollups(rollups)),
        }
    }

    /// The number of stacks that cannot be of the process of the stack before them: a process has
    /// one row `[stack]`, or two that touch. Its vdso counts where no stack is named. At `starts`
    /// begin the rows of other processes.
    fn stacks_of_others(&self, starts: &[usize]) -> usize {
        let mut ids = self.names.ids(b"[stack]");
        if ids.is_empty() {
            ids = self.names.ids(b"[vdso]");
        }
        let mut starts = starts.iter().peekable();
        let mut before: Option<AddressRange> = None;
        let mut others = 0;
        // Most maps have one number, and a row or two with it.
        let [first, more @ ..] = ids.as_slice() else { return 0 };
        let is_it = |row: &Row| row.name == *first || !more.is_empty() && more.contains(&row.name);
        let mut from = 0;
        while let Some(at) = self.rows[from..].iter().position(is_it) {
            let (index, row) = (from + at, &self.rows[from + at]);
            from = index + 1;
            while starts.next_if(|start| **start <= index).is_some() {
                before = None;
            }
            // Old kernels name the page of vsyscalls so, too.
            if row.range.start >= VSYSCALL {
                continue;
            }
            let is_same = |last: AddressRange| last == row.range || last.end == row.range.start;
            others += usize::from(before.is_some_and(|last| !is_same(last)));
            before = Some(row.range);
        }
        others
    }

    /// Adds a warning from the source of the text.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning { line: 0, kind: WarningKind::Source(text.into()) });
    }

    /// The row layout of the producer, as far as the rows show it; defaults to a current 64-bit
    /// kernel.
    pub fn format(&self) -> TextFormat {
        self.format
    }

    /// The word size of the kernel that printed the text, from the column of the names; `None` if
    /// no name shows it.
    pub fn word_size(&self) -> Option<WordSize> {
        self.word_size
    }

    /// Sets the word size of the kernel that printed these rows.
    pub fn set_word_size(&mut self, word_size: WordSize) {
        self.word_size = Some(word_size);
        self.format = TextFormat::today(word_size);
    }

    /// Whether each row starts at or above the end of the row before it, as kernels print them.
    pub fn is_ordered(&self) -> bool {
        !self.unordered
    }

    /// Adds a row at the end.
    #[inline]
    pub fn push(&mut self, mapping: &Mapping<'_>) {
        let range = mapping.range;
        self.unordered |= self.rows.last().is_some_and(|last| range.start < last.range.end);
        self.rows.push(Row {
            range,
            offset: mapping.offset,
            inode: mapping.inode,
            device: mapping.device,
            perms: mapping.perms,
            name: self.names.id(mapping.name),
        });
    }

    /// Adds a field of smaps to the last row.
    pub fn push_field(&mut self, name: &[u8], value: &SmapsValue<'_>) {
        let Some(row) = self.rows.len().checked_sub(1) else { return };
        self.fields.get_or_insert_default().push(row, name, &value.after(name));
    }

    /// Adds a warning about the text that the rows are from.
    pub fn push_warning(&mut self, line: u64, kind: WarningKind) {
        self.warnings.push(Warning { line, kind });
    }

    /// Index of the first row that ends above `address`, in an ordered map.
    pub(crate) fn lower_bound(&self, address: u64) -> usize {
        self.rows.partition_point(|row| row.range.end <= address)
    }

    /// Renders these rows as a kernel of that version prints them, or laid out as in `format`. The
    /// smaps fields are included if there are any.
    pub fn render(&self, format: TextFormat, version: Option<KernelVersion>) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.rows.len() * 80);
        (0..self.len()).for_each(|index| self.render_row(index, format, version, &mut text));
        text
    }

    /// Appends the lines of one row to `text`; appends nothing if the index is out of range.
    pub fn render_row(
        &self,
        index: usize,
        format: TextFormat,
        version: Option<KernelVersion>,
        text: &mut Vec<u8>,
    ) {
        let Some(mut row) = self.get(index) else { return };
        if let Some(version) = version {
            row.name = name_in(version, &row);
        }
        // Restore line feeds if the source escapes them and the target does not.
        let unescape = self.format.escaped && !format.escaped;
        let name = if unescape { restore_line_feeds(row.name) } else { Cow::Borrowed(row.name) };
        format.write_row(&Mapping { name: &name, ..row }, text);
        // smaps exists since 2.6.14.
        let has_smaps = version.is_none_or(|version| version >= KernelVersion::new(2, 6, 14));
        if let Some(fields) = self.fields.as_ref().filter(|_| has_smaps) {
            fields.write(index, text);
        }
    }
}

impl<'a> FromIterator<Mapping<'a>> for Maps {
    fn from_iter<I: IntoIterator<Item = Mapping<'a>>>(rows: I) -> Self {
        let mut maps = Maps::default();
        rows.into_iter().for_each(|row| maps.push(&row));
        maps
    }
}

/// Parses a text in chunks, with bounded memory for any input.
///
/// If the first line is a row, the text is maps or smaps, and each line that is neither row nor
/// field is a warning. Otherwise the reader searches each line of the text for a row, also inside
/// what another program wrapped it in ([`Wrapper`](crate::Wrapper)), and warns of what it removed.
///
/// UTF-16 and UTF-32 are decoded.
///
/// ```
/// let mut reader = vmatlas_maps::MapsReader::default();
/// reader.push(b"1000-2000 r--p 0000");
/// reader.push(b"0000 00:00 0 \n");
/// assert_eq!(reader.finish().len(), 1);
/// ```
#[derive(Debug, Default)]
pub struct MapsReader {
    maps: Maps,
    warnings: Warnings,
    partial: PartialLine,
    line: u64,
    content: Content,
    layout: Layout,
    /// Whether every line so far ended in a carriage return.
    carriage_returns: bool,
    full: bool,
    /// Whether the last line of any text was a row or a field of one.
    in_fields: bool,
    /// What rows of other texts are wrapped in.
    unwrapper: Unwrapper,
    broken: BrokenLines,
    encoding: Encoding,
    /// The rows at which the map of another process begins.
    starts: Vec<usize>,
    /// The processes that stand before rows.
    pids: BTreeSet<u64>,
    /// Whether the row is of another process than all rows before it.
    is_of_other: bool,
    /// What stands before the last row of a text.
    prefix: Prefix,
    /// Whether the last line of a text is a row or a field that stands in it as it is.
    is_plain_row: bool,
}

/// The encoding of a text.
#[derive(Clone, Debug)]
enum Encoding {
    /// These bytes at its start do not show it yet.
    Unknown(Vec<u8>),
    /// A byte for each ASCII character.
    Bytes,
    Wide(Decoder),
}

impl Default for Encoding {
    fn default() -> Self {
        Encoding::Unknown(Vec::new())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    #[default]
    Unknown,
    /// maps or smaps.
    Rows,
    /// Any other text.
    Text,
}

/// The text contains no row of maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRowsError {
    looks_like: Option<&'static str>,
}

impl NoRowsError {
    /// The format that the text probably has instead, such as `the output of pmap`.
    pub fn looks_like(&self) -> Option<&'static str> {
        self.looks_like
    }
}

impl fmt::Display for NoRowsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text has no row of maps")?;
        self.looks_like.map_or(Ok(()), |what| write!(f, ": this looks like {what}"))
    }
}

impl std::error::Error for NoRowsError {}

impl MapsReader {
    /// Parses a complete text; without any row the map is empty.
    pub fn read(text: &[u8]) -> Maps {
        let mut reader = MapsReader::default();
        reader.push(text);
        reader.finish()
    }

    /// Parses the next chunk of the text.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.encoding {
            Encoding::Bytes => self.push_bytes(bytes),
            Encoding::Wide(_) => self.push_wide(bytes),
            Encoding::Unknown(head) if head.len() + bytes.len() < Decoder::HEAD => {
                head.extend_from_slice(bytes);
            }
            Encoding::Unknown(head) if head.is_empty() => {
                self.encoding = Encoding::Bytes;
                match Decoder::of(bytes) {
                    Some(decoder) => {
                        self.encoding = Encoding::Wide(decoder);
                        self.push_wide(bytes);
                    }
                    None => self.push_bytes(bytes),
                }
            }
            Encoding::Unknown(head) => {
                let whole = [head.as_slice(), bytes].concat();
                head.clear();
                self.push(&whole);
            }
        }
    }

    /// Parses the next chunk of a text in UTF-16 or UTF-32.
    fn push_wide(&mut self, bytes: &[u8]) {
        let mut text = Vec::new();
        for bytes in bytes.chunks(64 << 10) {
            if let Encoding::Wide(decoder) = &mut self.encoding {
                decoder.decode(bytes, &mut text);
            }
            self.push_bytes(&text);
            text.clear();
        }
    }

    fn push_bytes(&mut self, mut bytes: &[u8]) {
        if !self.partial.is_empty() {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return self.keep(bytes) };
            self.keep(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let mut partial = std::mem::take(&mut self.partial);
            if let Some(line) = partial.get() {
                self.take_line(line);
            }
            partial.clear();
            self.partial = partial;
        }
        while !bytes.is_empty() {
            let end = match quick_row(bytes) {
                // In other texts a row must meet stricter rules.
                Some((row, end))
                    if end <= MAX_LINE
                        && bytes.get(end) == Some(&b'\n')
                        && self.content == Content::Rows =>
                {
                    self.line += 1;
                    self.take_row_of(&bytes[..end], &row);
                    end
                }
                _ => match self.take_quick_fields(bytes) {
                    0 => {
                        let Some(end) = memchr::memchr(b'\n', bytes) else { break };
                        self.take_line(&bytes[..end]);
                        end
                    }
                    length => length - 1,
                },
            };
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Takes the fields at the front of a text that have the form of those of the row before;
    /// returns the length of their lines.
    #[inline]
    fn take_quick_fields(&mut self, bytes: &[u8]) -> usize {
        let row = self.maps.rows.len().checked_sub(1);
        let (Some(row), Some(fields)) = (row, &mut self.maps.fields) else { return 0 };
        if self.content != Content::Rows || fields.bytes() > MAX_FIELDS / 2 {
            return 0;
        }
        let (lines, length) = fields.push_quick(row, bytes);
        if lines > 0 {
            self.line += lines;
            self.carriage_returns = false;
        }
        length
    }

    /// Stores an incomplete line.
    fn keep(&mut self, bytes: &[u8]) {
        let max = if self.content == Content::Rows { MAX_LINE } else { MAX_WRAPPED };
        if !self.partial.push(bytes, max) {
            self.line += 1;
            self.warnings.push(self.line, RowErrorKind::TooLong.into());
        }
    }

    /// The number of rows parsed so far.
    pub fn rows(&self) -> usize {
        self.maps.rows.len()
    }

    /// The end of the last row; 0 if there is none yet.
    pub fn last_end(&self) -> u64 {
        self.maps.rows.last().map_or(0, |row| row.range.end)
    }

    /// Returns the map; the last line may lack its line feed.
    pub fn finish(mut self) -> Maps {
        if let Encoding::Unknown(head) = &mut self.encoding {
            let head = std::mem::take(head);
            self.push_bytes(&head);
        }
        let partial = std::mem::take(&mut self.partial);
        if let Some(line) = partial.get().filter(|line| !line.is_empty()) {
            let is_in_tombstone = self.is_behind_tombstone_row(self.in_fields);
            let is_behind_row = std::mem::take(&mut self.is_plain_row);
            self.take_line(line);
            let is_of_row = self.is_plain_row
                || is_behind_row
                    && (self.prefix.end_in(line).is_some() || self.prefix.begins_with(line));
            let is_row = self.content == Content::Rows || begins_like_a_row(line);
            if is_row || is_of_row || is_in_tombstone {
                self.warnings.push(self.line, WarningKind::Cut);
            }
        }
        if self.content == Content::Text {
            self.unwrap(|unwrapper, sink| unwrapper.finish(sink));
            self.join_rests();
        }
        if self.broken.perhaps_cut() > 0 {
            self.warnings.push(0, WarningKind::PerhapsBroken(self.broken.perhaps_cut() as u64));
        }
        if self.layout.nameless_file {
            let without = |row: &&Row| row.name == 0 && row.inode != 0;
            let rows = self.maps.rows.iter().filter(without).count() as u64;
            if rows > 0 {
                self.warnings.push(0, WarningKind::NoNames(rows));
            }
        }
        if self.broken.is_joined() {
            self.unwrapper.add(Wrapper::Lines);
        }
        // None of the kernel's own names ends in a carriage return, but a file name may.
        let no_name = |row: Mapping<'_>| row.inode == 0 && row.name.ends_with(b"\r");
        if self.carriage_returns && self.content == Content::Text {
            self.warnings.push(0, WarningKind::CarriageReturns);
        } else if self.carriage_returns && !self.maps.is_empty() {
            if self.maps.has_fields() || self.maps.iter().any(no_name) {
                self.remove_carriage_returns();
            } else {
                self.warnings.push(0, WarningKind::NamesEndInCarriageReturns);
            }
        }
        let others = self.maps.stacks_of_others(&self.starts);
        (0..others).for_each(|_| self.warnings.push(0, WarningKind::StartsOver));
        let names = &self.maps.names;
        let all = names.all();
        if names.iter().any(is_unusual)
            || memchr::memchr3(0x1b, b'\\', b'#', all).is_some()
            // The permissions and the offset of a row.
            || memchr::memmem::find(all, b"p 0").is_some()
        {
            self.judge_names();
        }
        if matches!(self.encoding, Encoding::Wide(_)) && !self.maps.is_empty() {
            self.unwrapper.add(Wrapper::Encoding);
        }
        for &wrapper in self.unwrapper.found() {
            self.warnings.push(0, WarningKind::Wrapped(wrapper));
        }
        self.maps.rows.shrink_to_fit();
        self.maps.format = self.layout.format(&self.maps);
        self.maps.word_size = self.layout.word_size();
        self.maps.counted = 1 + (self.starts.len() + others) as u64;
        let mut warnings = self.warnings.into_vec();
        warnings.append(&mut self.maps.warnings);
        self.maps.warnings = warnings;
        self.maps
    }

    fn remove_carriage_returns(&mut self) {
        self.change_names(|name| name.strip_suffix(b"\r").unwrap_or(name).to_vec());
        self.warnings.push(0, WarningKind::CarriageReturns);
    }

    fn change_names(&mut self, change: impl Fn(&[u8]) -> Vec<u8>) {
        let mut maps = Maps { fields: self.maps.fields.take(), ..Maps::default() };
        for row in self.maps.iter() {
            maps.push(&Mapping { name: &change(row.name), ..row });
        }
        self.maps = maps;
    }

    /// Counts rollups; removes from names what the kernel cannot have printed there, if all rows
    /// agree on it; warns of names that are left.
    #[cold]
    fn judge_names(&mut self) {
        if let Some(kind) = self.maps.rollups() {
            self.warnings.push(0, kind);
        }
        let has_colour = |row: &Mapping<'_>| memchr::memchr(0x1b, row.name).is_some();
        let coloured =
            |row: Mapping<'_>| has_colour(&row) && (no_file(&row) || is_coloured_by_grep(row.name));
        if self.maps.iter().any(coloured) {
            self.change_names(remove_colours);
            self.unwrapper.add(Wrapper::Colours);
        }
        if self.maps.names.iter().any(|name| name.starts_with(b"\t")) {
            // A tab between the inode and the name.
            self.change_names(|name| match name.strip_prefix(b"\t") {
                Some(name) => name.trim_ascii_start().to_vec(),
                None => name.to_vec(),
            });
        }
        for &(end, wrapper) in ENDS {
            let bytes = end.as_bytes();
            // The last line of a literal or a tag may end otherwise.
            let without = self.maps.iter().filter(|row| !row.name.ends_with(bytes)).take(2);
            let agree = without.count() == 0 && self.maps.len() > 1;
            let printed = |row: &Mapping<'_>| {
                let name = row.name.strip_suffix(bytes)?;
                no_file(row).then(|| name.is_empty() || name.ends_with(b"]"))
            };
            if agree && self.maps.iter().any(|row| printed(&row) == Some(true)) {
                self.change_names(|name| {
                    let name = name.strip_suffix(bytes).unwrap_or(name);
                    let shown = if end == "$" { undo_cat(name) } else { None };
                    shown.unwrap_or_else(|| name.trim_ascii_end().to_vec())
                });
                self.unwrapper.add(wrapper);
                break;
            } else if agree {
                self.warnings.push(0, WarningKind::NamesEndIn(end));
                break;
            }
        }
        self.remove_common_end();
        let odd = |row: &Mapping<'_>| {
            let [first, .., last] = row.name else { return no_file(row) && is_odd_start(row.name) };
            let is_odd = ODD_ENDS.contains(last)
                || row.name.ends_with(b"\\n")
                || *first == b'[' && *last != b']'
                || is_odd_start(row.name);
            no_file(row) && is_odd || find_row_from(row.name, 1).is_some()
        };
        let mut odd = self.maps.iter().filter(odd).map(|row| row.name.to_vec());
        if let Some(first) = odd.next() {
            let rows = 1 + odd.count() as u64;
            self.warnings.push(0, WarningKind::OddNames { rows, first });
        }
    }

    /// Removes what all names end in, if a row without a name shows that it is no part of them.
    fn remove_common_end(&mut self) {
        let odd = |row: &Mapping<'_>| no_file(row) && is_odd_start(row.name);
        let end = self.maps.iter().find(odd).map(|row| row.name.to_vec());
        let Some(end) = end else { return };
        if self.maps.len() > 1 && self.maps.iter().all(|row| row.name.ends_with(&end)) {
            self.change_names(|name| {
                name.strip_suffix(end.as_slice()).unwrap_or(name).trim_ascii_end().to_vec()
            });
            self.unwrapper.add(Wrapper::Ends);
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        self.line += 1;
        if line.is_empty() {
            return self.broken.end();
        }
        if line.len() > if self.content == Content::Rows { MAX_LINE } else { MAX_WRAPPED } {
            return self.warnings.push(self.line, RowErrorKind::TooLong.into());
        }
        if self.content == Content::Text {
            return self.take_text(line);
        }
        // No row begins like a field of smaps; fields are tested first because they are more
        // frequent.
        if let Some((name, rest)) = field_line(line).filter(|_| self.content == Content::Rows) {
            self.see_end(line);
            let carriage_return = rest.strip_suffix(b"\r").filter(|_| self.carriage_returns);
            return self.take_field(name, carriage_return.unwrap_or(rest));
        }
        match parse_row(line) {
            Ok(row) if self.content == Content::Unknown && is_wrapped(line, row.name) => {
                self.content = Content::Text;
                self.take_text(line);
            }
            Ok(_) if line.len() > MAX_LINE => {
                self.warnings.push(self.line, RowErrorKind::TooLong.into());
            }
            Ok(row) => self.take_row_of(line, &row),
            Err(error) => {
                self.see_end(line);
                if self.content == Content::Rows && memchr::memchr(0x1b, line).is_some() {
                    let plain = remove_colours(line);
                    if let Ok(row) = parse_row(&plain) {
                        self.unwrapper.add(Wrapper::Colours);
                        return self.take_row_of(&plain, &row);
                    }
                }
                if self.content == Content::Unknown {
                    self.content = Content::Text;
                    self.take_text(line);
                } else if self.take_name(line.strip_suffix(b"\r").unwrap_or(line)) {
                    // The name of the row above.
                } else if line != b"\r" {
                    self.warnings.push(self.line, error.into());
                }
            }
        }
    }

    /// Parses a row of maps or smaps.
    #[inline(always)]
    fn take_row_of(&mut self, line: &[u8], row: &Mapping<'_>) {
        self.see_end(line);
        self.content = Content::Rows;
        self.layout.see(line, row);
        self.take_row(row);
    }

    /// Checks the line end: a listing is a Windows copy if all its lines end in a carriage return.
    #[inline]
    fn see_end(&mut self, line: &[u8]) {
        self.carriage_returns = line.last() == Some(&b'\r')
            && (self.carriage_returns || self.content == Content::Unknown);
    }

    fn take_text(&mut self, line: &[u8]) {
        let (line, from_windows) = match line.strip_suffix(b"\r") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let rows = self.maps.rows.len();
        self.unwrap(|unwrapper, sink| unwrapper.take(line, sink));
        self.carriage_returns |= from_windows && self.maps.rows.len() > rows;
    }

    /// Takes the lines that `step` finds in the text.
    fn unwrap(&mut self, step: impl FnOnce(&mut Unwrapper, &mut crate::wrapper::Sink<'_>)) {
        let mut unwrapper = std::mem::take(&mut self.unwrapper);
        step(&mut unwrapper, &mut |line, wrapped| self.take_text_line(line, wrapped));
        self.unwrapper = unwrapper;
        if self.unwrapper.take_dropped() {
            self.warnings.push(self.line, RowErrorKind::TooLong.into());
        }
    }

    /// Takes a line of a text, or one that was wrapped in a line; returns whether it is a row or a
    /// field.
    fn take_text_line(&mut self, line: &[u8], wrapped: bool) -> bool {
        if line.len() > MAX_LINE && (wrapped || find_row(line).is_some()) {
            self.warnings.push(self.line, RowErrorKind::TooLong.into());
            return false;
        }
        self.is_plain_row = false;
        // What stands before a row also stands before its fields, and its name in the next line.
        let start = if wrapped { 0 } else { self.prefix.end_in(line).unwrap_or(0) };
        let inside = &line[start..];
        // Prose with a colon may also follow a row.
        let rows = self.maps.rows.len();
        let known = self.maps.fields.as_ref().is_some_and(|fields| fields.rows() == rows);
        let field = field_line(inside).filter(|&(name, rest)| {
            // Between the strings of a record are others.
            let is_of_row = !wrapped && start == 0 || is_smaps_value(name, rest);
            let begins = || name == b"Size" || is_smaps_size(name, rest);
            self.in_fields && (known || begins()) && is_of_row
        });
        let was_in_fields = std::mem::replace(&mut self.in_fields, true);
        if let Some((mut row, at)) = find_row(line) {
            let fields = &line[at..line.len() - row.name.len()];
            if memchr::memmem::find(fields, NO_BREAK).is_some() {
                // Copied from a page: the blanks in the name are of the same kind.
                let parts: Vec<&[u8]> = split_around(line, NO_BREAK).collect();
                return self.take_text_line(&parts.join(&b' '), wrapped);
            }
            self.layout.see(&line[at..], &row);
            let above;
            if row.name == b">" && row.perms.0[3] == b'?' {
                // xCrash writes this for the name of the row above.
                let last = self.maps.rows.last();
                above = last.map_or(Vec::new(), |last| self.maps.names.get(last.name).to_vec());
                row.name = &above;
            }
            self.is_of_other = false;
            if at > 0 && !wrapped {
                self.see_process(&line[..at]);
            }
            if self.is_of_other && row.range.start >= self.last_end() {
                self.start_over();
            }
            self.take_row(&row);
            if wrapped {
                self.broken.end();
            } else {
                self.prefix.set(&line[..at]);
                self.broken.row(line.len());
                self.is_plain_row = true;
            }
            true
        } else if let Some((name, rest)) = field {
            self.broken.end();
            self.take_field(name, rest);
            self.is_plain_row = !wrapped;
            true
        } else if !wrapped && self.broken.is_behind_row() && self.take_name(inside) {
            self.broken.end();
            self.is_plain_row = true;
            true
        } else {
            match self.maps.rows.len().checked_sub(1).filter(|_| !wrapped && start == 0) {
                Some(last) => self.broken.keep(last, line),
                None => self.broken.end(),
            }
            self.in_fields = wrapped && was_in_fields;
            // Rows of a kernel stand before it.
            let is_kernels = self.maps.rows.last().is_some_and(|row| row.perms.0[3] != b'?');
            let is_row = begins_like_a_row(inside);
            if !(is_row && (start == 0 || is_kernels))
                && is_broken_tombstone_row(line, self.is_behind_tombstone_row(was_in_fields))
            {
                self.warnings.push(self.line, RowErrorKind::Size.into());
                return false;
            }
            let row = if is_row { Some(start) } else { broken_row(line) };
            let Some(row) = row else { return false };
            // Permissions that no kernel prints are a row only among rows.
            let odd_perms = RowError { kind: RowErrorKind::Perms, column: 1 };
            let mut error = parse_row(&line[row..]).err().unwrap_or(odd_perms);
            error.column = error.column.saturating_add(row as u32);
            self.warnings.push(self.line, error.into());
            false
        }
    }

    /// Whether the line before is a row of a tombstone, which has no fourth permission.
    fn is_behind_tombstone_row(&self, is_behind_row: bool) -> bool {
        is_behind_row && self.maps.rows.last().is_some_and(|row| row.perms.0[3] == b'?')
    }

    /// Takes a line as the name of the last row, if it is one; returns whether it is.
    fn take_name(&mut self, line: &[u8]) -> bool {
        let Some(last) = self.maps.rows.last() else { return false };
        let Some(name) = self.broken.name(&self.maps.mapping(last), line) else { return false };
        self.set_name(self.maps.rows.len() - 1, name);
        true
    }

    /// Joins the rests of names that stand in lines of their own.
    fn join_rests(&mut self) {
        for (row, rest) in self.broken.rests() {
            let Some(name) = self.maps.get(row).map(|row| row.name.to_vec()) else { continue };
            self.set_name(row, &[name, rest].concat());
        }
    }

    fn set_name(&mut self, row: usize, name: &[u8]) {
        if self.maps.names.bytes() + name.len() > MAX_NAMES {
            return self.is_full();
        }
        if let Some(row) = self.maps.rows.get_mut(row) {
            row.name = self.maps.names.id(name);
        }
    }

    #[inline(always)] // a row stays in registers on its way from the text to its place
    fn take_row(&mut self, row: &Mapping<'_>) {
        let range = row.range;
        let odd = range.start < self.last_end()
            || range.size().wrapping_sub(1) >= HUGE
            || self.maps.rows.len() >= MAX_ROWS
            || self.maps.names.bytes() + row.name.len() > MAX_NAMES;
        if !odd || self.may_take_odd(row) {
            let rows = &mut self.maps.rows;
            if rows.len() == rows.capacity() {
                // Grow rarely: growing copies all rows to untouched memory.
                rows.reserve((rows.len() * 3).max(1024));
            }
            self.maps.push(row);
        }
    }

    /// Warns of a row that no kernel prints; returns whether there is room for it.
    #[cold]
    fn may_take_odd(&mut self, row: &Mapping<'_>) -> bool {
        if self.maps.rows.len() >= MAX_ROWS || self.maps.names.bytes() + row.name.len() > MAX_NAMES
        {
            self.is_full();
            return false;
        }
        let range = row.range;
        if row.is_rollup() {
            return true;
        }
        // The range of a rollup includes those of other rows.
        let is_rollup = |row: &&Row| self.maps.mapping(row).is_rollup();
        let last = self.maps.rows.iter().rev().find(|row| !is_rollup(row));
        if let Some(last) = last.filter(|last| range.start < last.range.end) {
            let before = last.range;
            if self.is_of_other || starts_over(&self.maps.mapping(last), range) {
                self.start_over();
            } else {
                self.warnings.push(self.line, WarningKind::Overlap { row: range, before });
            }
        }
        if range.size() == 0 {
            self.warnings.push(self.line, WarningKind::Empty(range));
        } else if range.size() > HUGE && (row.name.starts_with(b"[stack") || row.name == b"[heap]")
        {
            self.warnings.push(self.line, WarningKind::Huge(range));
        }
        true
    }

    /// Notes that the next row begins the map of another process.
    fn start_over(&mut self) {
        self.starts.push(self.maps.rows.len());
        self.warnings.push(self.line, WarningKind::StartsOver);
    }

    /// Looks for the process in what stands before a row, such as `/proc/812/maps:`.
    fn see_process(&mut self, before: &[u8]) {
        const MAX_PIDS: usize = 1 << 16;
        let Some(at) = memchr::memmem::rfind(before, b"/proc/") else { return };
        let path = &before[at + b"/proc/".len()..];
        let digits = path.iter().take_while(|b| b.is_ascii_digit()).count();
        let pid = std::str::from_utf8(&path[..digits]).ok().and_then(|pid| pid.parse().ok());
        let Some(pid) = pid.filter(|_| path.get(digits) == Some(&b'/')) else { return };
        if self.pids.len() < MAX_PIDS {
            let is_first = self.pids.is_empty();
            self.is_of_other = self.pids.insert(pid) && !is_first;
        }
    }

    /// Warns once that rows are left out.
    fn is_full(&mut self) {
        if !std::mem::replace(&mut self.full, true) {
            self.warnings.push(self.line, WarningKind::Full);
        }
    }

    fn take_field(&mut self, name: &[u8], rest: &[u8]) {
        let Some(row) = self.maps.rows.len().checked_sub(1) else {
            return self.warnings.push(self.line, WarningKind::FieldWithoutRow);
        };
        let fields = self.maps.fields.get_or_insert_default();
        if fields.bytes() + rest.len() > MAX_FIELDS {
            return self.is_full();
        }
        fields.push(row, name, rest);
        if !rest.ends_with(b" kB") && is_broken_size(name, rest) {
            self.warnings.push(self.line, WarningKind::BadSize(name.to_vec()));
        }
    }
}

/// U+00A0, a blank that does not break a line.
const NO_BREAK: &[u8] = b"\xc2\xa0";

/// What wrapped rows end in, longest first.
const ENDS: &[(&str, Wrapper)] = &[
    ("\\n\\", Wrapper::Strings),
    ("\\n\",", Wrapper::Strings),
    ("\\n\"", Wrapper::Strings),
    ("\\n',", Wrapper::Strings),
    ("\\n'", Wrapper::Strings),
    ("\\r\\n", Wrapper::LineFeeds),
    ("\\n", Wrapper::LineFeeds),
    ("#012", Wrapper::LineFeeds),
    ("\",", Wrapper::Strings),
    ("\"", Wrapper::Strings),
    ("',", Wrapper::Strings),
    ("'", Wrapper::Strings),
    ("<br>", Wrapper::Markup),
    ("<br/>", Wrapper::Markup),
    ("<br />", Wrapper::Markup),
    (" |", Wrapper::Table),
    ("^M$", Wrapper::Cat),
    ("$", Wrapper::Cat),
    ("\\", Wrapper::Strings),
];

/// The bytes in which few names end, but quotes, tags and lists do.
const ODD_ENDS: &[u8] = b"\"'`\\$=|<>,;}";

/// Whether a name begins or ends as few names do: it may be a part of what rows are wrapped in, or
/// be of a rollup.
fn is_unusual(name: &[u8]) -> bool {
    let [first, .., last] = name else { return true };
    match first {
        b'/' => ODD_ENDS.contains(last),
        b'[' => *last != b']' || name == b"[rollup]",
        _ => true,
    }
}

/// Whether a row has no file, so that the kernel itself made its name.
fn no_file(row: &Mapping<'_>) -> bool {
    row.inode == 0 && row.device == Device::default()
}

/// Whether a name begins as no name of the kernel does, nor a file's in a list of another program.
fn is_odd_start(name: &[u8]) -> bool {
    name.first().is_some_and(|b| !(b.is_ascii_alphanumeric() || b"/[(._~".contains(b)))
        && std::str::from_utf8(name)
            .map_or(true, |name| !name.starts_with(|c: char| c.is_alphanumeric()))
}

/// The layout that the producer of a text uses, as far as its rows show it.
#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    column_32: bool,
    column_64: bool,
    other_column: bool,
    /// Whether a row without a name ends in a blank.
    blank: bool,
    no_blank: bool,
    /// Addresses are padded to 16 digits.
    wide: bool,
    /// A row has an inode but no name.
    nameless_file: bool,
}

impl Layout {
    #[inline]
    fn see(&mut self, line: &[u8], row: &Mapping<'_>) {
        if row.name.is_empty() {
            let blank = line.last() == Some(&b' ');
            self.blank |= blank;
            self.no_blank |= !blank;
            self.nameless_file |= row.inode != 0;
        } else {
            let column = line.len() - row.name.len();
            let [at_32, at_64] = [WordSize::Bits32, WordSize::Bits64].map(WordSize::name_column);
            self.column_64 |= column == at_64;
            if column < at_64 {
                // Fields that reach the column of a 32-bit kernel push the name two bytes further.
                let fields = line[..column].trim_ascii_end().len();
                let is_32 = column == at_32 || fields + 1 >= at_32 && column == fields + 2;
                self.column_32 |= is_32;
                self.other_column |= !is_32;
            }
        }
        self.wide |= line.get(16) == Some(&b'-') && line[0] == b'0';
    }

    fn word_size(self) -> Option<WordSize> {
        match (self.column_32, self.column_64, self.other_column) {
            (true, false, false) => Some(WordSize::Bits32),
            (false, true, false) => Some(WordSize::Bits64),
            _ => None,
        }
    }

    fn format(self, maps: &Maps) -> TextFormat {
        // Rows of other forms than a kernel's have names too.
        let elsewhere = || self.nameless_file && maps.iter().any(|row| !row.name.is_empty());
        let named = self.column_32 || self.column_64 || self.other_column || elsewhere();
        let word_size = self.word_size().unwrap_or_default();
        let today = TextFormat::today(word_size);
        // No kernel uses other columns; a 64-bit kernel that writes no blank writes 16 digits.
        let old = self.no_blank
            && !self.blank
            && !self.other_column
            && (self.wide || word_size == WordSize::Bits32 || !named && self.nameless_file);
        if !old {
            return today;
        }
        let without_names = !named && self.nameless_file;
        let word_size = if without_names && !self.wide { WordSize::Bits32 } else { word_size };
        let version = KernelVersion::new(2, if without_names { 0 } else { 4 }, 0);
        TextFormat { narrow_offset: false, ..TextFormat::of(version, word_size) }
    }
}
