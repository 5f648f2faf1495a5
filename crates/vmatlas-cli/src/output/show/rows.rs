//! The rows of the map, folded or one by one.

use super::plan::Shown;
use crate::output::fit::{self, Fit};
use crate::output::pieces;
use crate::output::style::{self, Paint};
use anstyle::Style;
use std::cmp::Reverse;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use vmatlas::label::Confidence;
use vmatlas::words::{self, printable, size};
use vmatlas::{Fold, Folded, Folds, Kind, Perms, Row, Sizes, SourceKind};

/// The least columns for names and labels; below it, the ends of ranges are left out, then columns of
/// sizes.
const LEAST_NAME: usize = 40;
const LEAST_NAME_OF_NARROW: usize = 20;
/// The least columns of a name beside a label.
const LEAST_NAME_BESIDE: usize = 14;
/// The least columns of a label that is cut.
const LEAST_LABEL: usize = 8;
/// The least columns of less important facts that are cut.
const LEAST_MORE: usize = 16;

/// A column of sizes of smaps.
type SizeColumn = (&'static str, fn(&Sizes) -> Option<u64>);

const SIZE_COLUMNS: [SizeColumn; 6] = [
    ("rss", |sizes| sizes.rss),
    ("pss", |sizes| sizes.pss),
    ("uss", |sizes| sizes.uss),
    ("swap", |sizes| sizes.swap),
    ("dirty", |sizes| sizes.dirty),
    ("huge", |sizes| sizes.hugetlb),
];

/// The columns before the name, and their widths.
struct Layout {
    /// The digits of an address.
    digits: usize,
    /// Whether the end of a range is shown.
    ends: bool,
    sizes: Vec<SizeColumn>,
    /// The number of rows of a fold; 0 if nothing is folded.
    count: usize,
    perms: usize,
    /// 0 if offsets are not shown.
    offset: usize,
}

impl Layout {
    fn of(folds: &Folds<'_>, shown: &Shown<'_>) -> Layout {
        let rows = || shown.rows();
        let digits = |value: u64| (u64::BITS - value.leading_zeros()).div_ceil(4) as usize;
        // The long address of the gate page must not widen every other row.
        let low = rows().filter(|row| row.kind() != Kind::Vsyscall);
        let all = match shown.atlas.has_sizes() {
            true => rows().fold(Sizes::default(), |sum, row| sum.plus(row.sizes())),
            false => Sizes::default(),
        };
        let is_shown = |(name, of): &SizeColumn| match *name {
            "pss" | "dirty" => shown.plan.wide && of(&all).is_some(),
            "swap" | "huge" => of(&all).is_some_and(|bytes| bytes > 0),
            _ => of(&all).is_some(),
        };
        let count = |index: usize| folds.rows_of(index).map_or(0, |rows| rows.len());
        let most = (0..folds.len()).map(count).max().unwrap_or(1);
        let several = (0..folds.len()).filter(|&index| count(index) > 1);
        let several = several.filter_map(|index| Some(perms(&folds.get(index)?).len()));
        let mut layout = Layout {
            digits: low.map(|row| digits(row.range.end)).max().unwrap_or(0).max(8),
            ends: true,
            sizes: SIZE_COLUMNS.into_iter().filter(is_shown).collect(),
            count: if most == 1 { 0 } else { most.to_string().len().max(4) },
            perms: several.max().unwrap_or(0).max(OF_ONE_ROW),
            offset: 0,
        };
        if shown.plan.wide {
            layout.offset =
                rows().map(|row| digits(row.mapping().offset)).max().unwrap_or(0).max(6);
        }
        if let Some(width) = shown.plan.fit.width {
            layout.ends = width >= layout.width() + LEAST_NAME;
            while width < layout.width() + LEAST_NAME_OF_NARROW && layout.sizes.len() > 1 {
                layout.sizes.pop();
            }
        }
        layout
    }

    fn address_width(&self) -> usize {
        if self.ends { 2 * self.digits + 1 } else { self.digits }
    }

    /// The columns before the name.
    fn width(&self) -> usize {
        let optional = |width: usize| if width > 0 { width + 1 } else { 0 };
        let sizes = 7 * (1 + self.sizes.len());
        self.address_width()
            + sizes
            + optional(self.count)
            + 1
            + self.perms
            + optional(self.offset)
            + 1
    }

    fn heading(&self) -> String {
        let mut text = format!("{:<1$} {2:>6}", "address", self.address_width(), "size");
        for (name, _) in &self.sizes {
            let _ = write!(text, " {name:>6}");
        }
        if self.count > 0 {
            let _ = write!(text, " {:>1$}", "rows", self.count);
        }
        let _ = write!(text, " {:<1$}", "perms", self.perms);
        if self.offset > 0 {
            let _ = write!(text, " {:>1$}", "offset", self.offset);
        }
        text + " name"
    }

    /// The address; the columns up to the name.
    fn columns(&self, fold: &Fold<'_>, first: &Row<'_>) -> (String, String) {
        let digits = self.digits;
        let mut address = format!("{:0digits$x}", fold.range.start);
        if self.ends {
            let _ = write!(address, "-{:0digits$x}", fold.range.end);
        }
        // The range of a rollup includes what is not mapped.
        let whole = if first.is_rollup() { String::new() } else { size(fold.size) };
        let mut text = format!(" {whole:>6}");
        for (_, of) in &self.sizes {
            let _ = write!(text, " {:>6}", of(&fold.sizes).map_or(String::new(), size));
        }
        if self.count > 0 {
            let rows = match fold.rows.len() {
                1 => String::new(),
                rows => rows.to_string(),
            };
            let _ = write!(text, " {rows:>0$}", self.count);
        }
        let _ = write!(text, " {:<1$}", perms(fold), self.perms);
        if self.offset > 0 {
            let _ = write!(text, " {:>1$}", offset_text(first), self.offset);
        }
        (address, text)
    }
}

fn offset_text(row: &Row<'_>) -> String {
    if row.has_file() { format!("{:x}", row.mapping().offset) } else { String::new() }
}

/// The columns of the permissions of a row, with the mark.
const OF_ONE_ROW: usize = 5;

/// The permissions: four letters of a row, a short set of several rows (`r,rx,rw`). A mark follows
/// if a row can be written and executed.
fn perms(fold: &Fold<'_>) -> String {
    let short = |perms: &Perms| {
        let letters = perms.0.iter().enumerate();
        // Most rows are private, and a core does not know.
        let letters = letters.filter(|letter| !matches!(letter, (_, b'-' | b'p') | (3, b'?')));
        let text: String = letters.map(|(_, letter)| char::from(*letter)).collect();
        if text.is_empty() { "-".to_owned() } else { text }
    };
    let mut text = match &fold.perms[..] {
        [one] => one.to_string(),
        several => several.iter().map(short).collect::<Vec<_>>().join(","),
    };
    if fold.has_writable_code {
        text.push('!');
    }
    text
}

/// What follows the columns.
#[derive(Default)]
struct Facts {
    name: String,
    label: String,
    /// A shorter form of the label, for narrow lines.
    short_label: String,
    /// What is never cut without its label: the confidence.
    confidence: &'static str,
    /// The gaps between the rows of a fold, if its range is shown, which includes them. Never cut.
    gaps: String,
    /// Less important facts.
    more: String,
}

impl Facts {
    /// Fits the facts into `most` columns. Less important ones are cut first, then the name, then
    /// the label is replaced by its shorter form, and cut.
    fn fit(&self, fit: Fit, most: Option<usize>, paint: Paint) -> String {
        let most = most.unwrap_or(usize::MAX);
        let tail = |label: &str| if label.is_empty() { "" } else { self.confidence };
        let joined = |name: &str, label: &str| {
            let label = format!("{label}{}", tail(label));
            let parts = [name, &label, &self.gaps];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            parts.join(" ")
        };
        let whole = joined(&self.name, &self.label);
        let rest = most.saturating_sub(fit::columns(&whole) + 1);
        if fit::columns(&whole) <= most {
            return match self.more.is_empty() || rest < LEAST_MORE.min(fit::columns(&self.more)) {
                true => whole,
                false => {
                    let blank = if whole.is_empty() { "" } else { " " };
                    format!("{whole}{blank}{}", paint.dim(&fit.end(&self.more, rest)))
                }
            };
        }
        let first = self.short_label.split(", ").next().unwrap_or_default();
        for label in [&*self.label, &self.short_label, first] {
            let over = fit::columns(&joined(&self.name, label)).saturating_sub(most);
            let width = fit::columns(&self.name);
            if width >= over && width - over >= width.min(LEAST_NAME_BESIDE) {
                return joined(&fit.path(&self.name, width - over), label);
            }
        }
        let name = fit.path(&self.name, LEAST_NAME_BESIDE);
        let over = fit::columns(&joined(&name, first)).saturating_sub(most);
        let width = fit::columns(first).saturating_sub(over);
        if width >= LEAST_LABEL {
            return joined(&name, &fit.end(first, width));
        }
        let only = if self.name.is_empty() { &self.short_label } else { &self.name };
        fit.path(only, most)
    }
}

/// How the lines of the rows are written.
struct Lines<'a> {
    shown: &'a Shown<'a>,
    folds: Folds<'a>,
    layout: Layout,
    paint: Paint,
    /// The columns for names and what follows them.
    most: Option<usize>,
    /// Whether a name that is that of the line above is a sign only.
    ditto: bool,
    /// What unmapped addresses are called.
    gap: &'static str,
}

/// Writes the rows. Returns their heading.
pub(super) fn write(
    out: &mut dyn Write,
    shown: &Shown<'_>,
    paint: Paint,
) -> io::Result<Option<String>> {
    let (atlas, plan) = (shown.atlas, shown.plan);
    let folds = match plan.in_order && !plan.wide {
        true => Folds::of(atlas),
        false => Folds::unfolded(atlas, shown.rows),
    };
    let layout = Layout::of(&folds, shown);
    let heading = (plan.header && !folds.is_empty()).then(|| layout.heading());
    if let Some(heading) = &heading {
        writeln!(out, "{}", paint.dim(heading))?;
    }
    let of_text =
        matches!(atlas.source(), SourceKind::Text | SourceKind::Log | SourceKind::Document);
    let lines = Lines {
        most: plan.fit.width.map(|width| width.saturating_sub(layout.width())),
        ditto: io::stdout().is_terminal() && plan.in_order && plan.wide,
        gap: if of_text { "gap" } else { "free" },
        shown,
        folds,
        layout,
        paint,
    };
    pieces::write(out, lines.folds.len(), |at, text| lines.write(at, text))?;
    Ok(heading)
}

impl Lines<'_> {
    /// Appends the line of a fold, below that of the gap before it.
    fn write(&self, at: usize, text: &mut Vec<u8>) {
        let Lines { shown, layout, paint, .. } = self;
        let (atlas, plan) = (shown.atlas, shown.plan);
        let Some(fold) = self.folds.get(at) else { return };
        let Some(first) = atlas.row(fold.rows.start) else { return };
        let before = at.checked_sub(1).and_then(|before| self.folds.rows_of(before));
        let last = before.and_then(|rows| atlas.row(rows.end - 1));
        // The gap below the gate page lies outside the process's address range.
        let below = last.filter(|_| plan.in_order && first.kind() != Kind::Vsyscall);
        let gap = below.map_or(0, |last| first.range.start.saturating_sub(last.range.end));
        if gap > 0 {
            let gap = format!("{} {}", size(gap), self.gap);
            let gap = format!("{gap:>0$}", layout.address_width() + 7);
            text.extend_from_slice(paint.dim(&gap).as_bytes());
            text.push(b'\n');
        }
        let (address, columns) = layout.columns(&fold, &first);
        text.extend_from_slice(paint.paint(style(&fold, &first), &address).as_bytes());
        text.extend_from_slice(columns.as_bytes());
        let mut facts = facts(&fold, &first, plan.wide);
        if fold.gaps() > 0 && fold.rows.len() > 1 {
            let gaps = format!("+{} {}", size(fold.gaps()), self.gap);
            *(if layout.ends { &mut facts.gaps } else { &mut facts.more }) = gaps;
        }
        if self.ditto && last.as_ref().is_some_and(|last| is_same_file(last, &first)) {
            facts.name = "  \"".to_owned();
        }
        // A long address, as that of the gate page, takes from the rest.
        let extra = (address.len()).saturating_sub(layout.address_width());
        let most = self.most.map(|most| most.saturating_sub(extra));
        let facts = facts.fit(plan.fit, most, *paint);
        if !facts.is_empty() {
            text.push(b' ');
            text.extend_from_slice(facts.as_bytes());
        }
        while text.last() == Some(&b' ') {
            text.pop();
        }
        text.push(b'\n');
    }
}

/// The style of the first row that can be executed, else of the first.
fn style(fold: &Fold<'_>, first: &Row<'_>) -> Style {
    let atlas = first.atlas();
    let mut rows = fold.rows.clone().filter_map(|index| atlas.row(index));
    let code = if fold.what == Folded::File { rows.find(|row| row.perms.execute()) } else { None };
    let style = style::of(&code.as_ref().unwrap_or(first).mapping());
    if fold.has_writable_code { style.underline() } else { style }
}

/// Whether two rows map the same file.
fn is_same_file(a: &Row<'_>, b: &Row<'_>) -> bool {
    (b.mapping().inode != 0 || b.inode().is_none())
        && a.mapping().name == b.mapping().name
        && a.mapping().inode == b.mapping().inode
        && a.mapping().device == b.mapping().device
}

fn facts(fold: &Fold<'_>, first: &Row<'_>, wide: bool) -> Facts {
    match fold.what {
        Folded::Nothing => {
            let sections = if wide { words::sections(first.sections()) } else { String::new() };
            let more = [sections, words::origins(first)];
            let more =
                more.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
            Facts { name: name(first), more, ..labelled(first) }
        }
        Folded::File => {
            let atlas = first.atlas();
            let mut rows = fold.rows.clone().filter_map(|index| atlas.row(index));
            let common = labelled(first);
            let is_common = rows.all(|row| labelled(&row).label == common.label);
            let facts = if is_common { common } else { Facts::default() };
            Facts { name: name(first), ..facts }
        }
        _ => of_purpose(fold, first),
    }
}

/// The facts of rows with one purpose, or with two that alternate.
fn of_purpose(fold: &Fold<'_>, first: &Row<'_>) -> Facts {
    let atlas = first.atlas();
    let name = match words::name(first.name) {
        name if name.is_empty() && fold.groups.is_empty() => UNEXPLAINED.to_owned(),
        name => name,
    };
    let mut groups: Vec<(&str, u64)> =
        fold.groups.iter().map(|part| (part.group, part.size)).collect();
    groups.extend((fold.unexplained > 0).then_some((UNEXPLAINED, fold.unexplained)));
    groups.sort_by_key(|(_, size)| Reverse(*size));
    let mut rows = fold.rows.clone().filter_map(|index| atlas.row(index));
    let text = words::labels(first);
    let (label, short) = match &groups[..] {
        _ if fold.groups.is_empty() => (String::new(), String::new()),
        [one] if rows.all(|row| words::labels(&row) == text) => (text, one.0.to_owned()),
        [one] => (one.0.to_owned(), one.0.to_owned()),
        all => {
            let with_size = all.iter().map(|(group, bytes)| format!("{group} {}", size(*bytes)));
            let names: Vec<&str> = all.iter().map(|(group, _)| *group).collect();
            (with_size.collect::<Vec<_>>().join(", "), names.join(", "))
        }
    };
    let lowest = fold.groups.iter().map(|part| part.confidence).min();
    Facts { name, ..purpose(&label, &short, lowest) }
}

/// What stands in the place of a label that there is not.
const UNEXPLAINED: &str = "unexplained";

/// The purpose of a row and its confidence; one word if the name explains most of it.
fn labelled(row: &Row<'_>) -> Facts {
    let label = row.label();
    let group = label.map_or("", |label| &*label.group);
    if row.has_file() && row.shows_its_purpose() {
        let group = printable(group.as_bytes());
        return Facts { label: group.clone(), short_label: group, ..Facts::default() };
    }
    let text = words::labels(row);
    match text.as_str() {
        "" if row.name.is_empty() && !row.shows_its_purpose() => Facts {
            label: UNEXPLAINED.to_owned(),
            short_label: UNEXPLAINED.to_owned(),
            ..Facts::default()
        },
        text => {
            let short = match row.kind() {
                // The name says as much.
                Kind::Stack | Kind::Vdso | Kind::Vvar | Kind::Vsyscall => "",
                _ if group.is_empty() => text,
                _ => group,
            };
            purpose(text, short, label.map(|label| label.confidence))
        }
    }
}

fn purpose(label: &str, short: &str, confidence: Option<Confidence>) -> Facts {
    let sign = |label: &str| match label {
        "" => String::new(),
        label => format!("= {}", printable(label.as_bytes())),
    };
    let confidence = if label.is_empty() { "" } else { suffix(confidence) };
    Facts { label: sign(label), short_label: sign(short), confidence, ..Facts::default() }
}

fn suffix(confidence: Option<Confidence>) -> &'static str {
    match confidence {
        None | Some(Confidence::Certain) => "",
        Some(Confidence::Likely) => " (likely)",
        Some(Confidence::Guess) => " (a guess)",
    }
}

/// The name, with facts that the name does not show.
fn name(row: &Row<'_>) -> String {
    let Some(truth) = row.truth() else { return words::name(row.name) };
    if !truth.certain {
        return format!("{} (name not proven)", words::name(row.name));
    }
    let note = match truth.now.note() {
        "" if truth.path(row.name).ends_with(b" (deleted)") => {
            r#"not deleted; its name ends in " (deleted)""#
        }
        note => note,
    };
    let shown = words::name(truth.path(row.name));
    if note.is_empty() { shown } else { format!("{shown} ({note})") }
}
