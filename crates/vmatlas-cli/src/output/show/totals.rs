//! The totals, as text and in JSON.

use crate::output::fit::{self, Fit};
use crate::output::style::Paint;
use serde::Serialize;
use std::fmt::Write as _;
use vmatlas::label::Confidence;
use vmatlas::words::{self, printable, size};
use vmatlas::{By, GroupTotals, MapTotals, Sizes, Total};

/// The least columns for the keys; below it, columns are left out.
const LEAST_KEY: usize = 36;

/// A part of the totals that no other part contains.
pub(super) struct Leaf {
    pub(super) name: String,
    /// The confidence of the labels that make it; empty if all are certain.
    pub(super) sure: &'static str,
    pub(super) size: u64,
    pub(super) sizes: Sizes,
}

impl Leaf {
    /// All parts.
    pub(super) fn all(totals: &MapTotals) -> Vec<Leaf> {
        let leaf = |group: &GroupTotals, total: &Total, name: String| Leaf {
            name,
            sure: confidence(group),
            size: total.size,
            sizes: total.sizes,
        };
        let mut leaves = Vec::new();
        for group in &totals.groups {
            leaves.extend(
                group.labels.iter().map(|label| leaf(label, &label.total, key(&label.total))),
            );
            if totals.by == By::Kind && group.unexplained.size > 0 {
                leaves.push(leaf(
                    &GroupTotals::default(),
                    &group.unexplained,
                    "unexplained".to_owned(),
                ));
            } else if group.labels.is_empty() {
                let name = match &*key(&group.total) {
                    "file" => "files".to_owned(),
                    name => name.to_owned(),
                };
                leaves.push(leaf(group, &group.total, name));
            }
        }
        leaves
    }
}

fn key(total: &Total) -> String {
    printable(&total.key)
}

/// The confidence of the labels that make a group; empty if all are certain.
fn confidence(group: &GroupTotals) -> &'static str {
    match group.confidence() {
        None | Some((Confidence::Certain, _)) => "",
        Some((Confidence::Likely, true)) => "likely",
        Some((Confidence::Likely, false)) => "partly likely",
        Some((Confidence::Guess, true)) => "a guess",
        Some((Confidence::Guess, false)) => "partly a guess",
    }
}

/// A share in percent; what is not zero does not look like it.
fn share(part: u64, whole: u64) -> String {
    match words::share(part, whole) {
        text if text == "0.0%" => if part > 0 { "<0.1%" } else { "0" }.to_owned(),
        text => text,
    }
}

/// A column of numbers.
struct Column<'a> {
    name: &'static str,
    /// The columns that a narrow terminal loses first.
    is_extra: bool,
    text: Box<dyn Fn(&Total) -> String + 'a>,
}

fn columns(all: &Total) -> Vec<Column<'_>> {
    let bytes = |name, is_extra, of: fn(&Sizes) -> Option<u64>| {
        let text = move |total: &Total| of(&total.sizes).map_or(String::new(), size);
        Column { name, is_extra, text: Box::new(text) }
    };
    let mut columns = vec![
        Column {
            name: "rows",
            is_extra: false,
            text: Box::new(|total| total.mappings.to_string()),
        },
        Column { name: "size", is_extra: false, text: Box::new(|total| size(total.size)) },
        Column {
            name: "share",
            is_extra: all.sizes.rss.is_some(),
            text: Box::new(|total| share(total.size, all.size)),
        },
    ];
    // Rows of a text may have other fields of smaps only.
    if let Some(whole) = all.sizes.rss {
        columns.push(bytes("rss", false, |sizes| sizes.rss));
        let text =
            move |total: &Total| total.sizes.rss.map_or(String::new(), |rss| share(rss, whole));
        columns.push(Column { name: "share", is_extra: true, text: Box::new(text) });
    }
    if all.sizes.pss.is_some() {
        columns.push(bytes("pss", true, |sizes| sizes.pss));
    }
    if all.sizes.uss.is_some() {
        columns.push(bytes("uss", false, |sizes| sizes.uss));
    }
    if all.sizes.swap.is_some_and(|swap| swap > 0) {
        columns.push(bytes("swap", false, |sizes| sizes.swap));
    }
    // The kernel does not count these pages as resident.
    if all.sizes.hugetlb.is_some_and(|huge| huge > 0) {
        columns.push(bytes("huge", false, |sizes| sizes.hugetlb.or(Some(0))));
    }
    columns
}

/// Writes a line for each group, and a line for each label group below its kind.
pub(super) fn write(text: &mut String, totals: &MapTotals, fit: Fit, paint: Paint) {
    let mut lines: Vec<(String, String, &Total)> = Vec::new();
    let in_parentheses = |group: &GroupTotals| match confidence(group) {
        "" => String::new(),
        sure => format!(" ({sure})"),
    };
    for group in totals.groups.iter().filter(|group| !is_empty(&group.total)) {
        let images = match group.images {
            0 => String::new(),
            count => format!(" ({})", words::count(count as u64, "image")),
        };
        // The kind is certain, whatever its labels are.
        let sure = if totals.by == By::Kind { String::new() } else { in_parentheses(group) };
        lines.push((format!("{}{images}", key(&group.total)), sure, &group.total));
        lines.extend(group.labels.iter().filter(|label| !is_empty(&label.total)).map(|label| {
            (format!("  {}", key(&label.total)), in_parentheses(label), &label.total)
        }));
    }
    // Among the purposes it has a line.
    if totals.by != By::Label && !is_empty(&totals.unexplained) {
        lines.push(("unexplained".to_owned(), String::new(), &totals.unexplained));
    }
    let widest = lines.iter().map(|(name, sure, _)| fit::columns(name) + sure.len()).max();
    let mut width = widest.unwrap_or(0).max(totals.by.word().len());
    let mut columns = columns(&totals.all);
    if let Some(most) = fit.width {
        let rest = |columns: &[Column<'_>]| most.saturating_sub(7 * columns.len());
        while rest(&columns) < width.min(LEAST_KEY)
            && let Some(last) = columns.iter().rposition(|column| column.is_extra)
        {
            columns.remove(last);
        }
        width = width.min(rest(&columns));
    }
    let mut header = format!("{:<width$}", totals.by.word());
    for column in &columns {
        let _ = write!(header, " {:>6}", column.name);
    }
    let _ = writeln!(text, "{}", paint.dim(header.trim_end()));
    for (name, sure, total) in lines {
        // The confidence is never cut.
        let name = fit.path(&name, width.saturating_sub(sure.len()));
        let blanks = width.saturating_sub(fit::columns(&name) + sure.len());
        let _ = write!(text, "{name}{sure}{:blanks$}", "");
        for column in &columns {
            let _ = write!(text, " {:>6}", (column.text)(total));
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
}

fn is_empty(total: &Total) -> bool {
    total.size == 0 && total.sizes.rss.unwrap_or(0) == 0
}

/// The sums of a group.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct TotalJson {
    /// The key is the one by which the totals are.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(rename = "build-id", skip_serializing_if = "Option::is_none")]
    build_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    perms: Option<String>,
    #[serde(flatten)]
    sum: SumJson,
    share: f64,
    /// The number of programs and libraries that the rows belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<usize>,
    /// The bytes whose purpose is unexplained.
    unexplained: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unexplained_rss: Option<u64>,
    /// The sums by label group, if the names of this kind do not explain their purpose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<LabelTotalJson>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LabelTotalJson {
    group: String,
    #[serde(flatten)]
    sum: SumJson,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SumJson {
    mappings: u64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pss: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uss: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dirty: Option<u64>,
    /// Memory in huge pages, which the kernel does not count as resident.
    #[serde(skip_serializing_if = "Option::is_none")]
    hugetlb: Option<u64>,
    /// The bytes whose labels are likely only, and those whose labels are guesses.
    #[serde(skip_serializing_if = "is_zero")]
    likely: u64,
    #[serde(skip_serializing_if = "is_zero")]
    guessed: u64,
}

fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

impl SumJson {
    fn of(group: &GroupTotals) -> SumJson {
        let Total { mappings, size, .. } = group.total;
        let Sizes { rss, pss, uss, swap, dirty, hugetlb, .. } = group.total.sizes;
        SumJson {
            mappings,
            size,
            rss,
            pss,
            uss,
            swap,
            dirty,
            hugetlb: hugetlb.filter(|huge| *huge > 0),
            likely: group.likely,
            guessed: group.guessed,
        }
    }
}

pub(super) fn json(totals: &MapTotals) -> Vec<TotalJson> {
    let key = |total: &Total| String::from_utf8_lossy(&total.key).into_owned();
    let whole = totals.all.size;
    let of_group = |group: &GroupTotals| {
        let keyed = |by| (totals.by == by).then(|| key(&group.total));
        TotalJson {
            kind: keyed(By::Kind),
            file: keyed(By::File),
            image: keyed(By::Image),
            build_id: keyed(By::BuildId),
            label: keyed(By::Label),
            perms: keyed(By::Perms),
            share: if whole == 0 { 0.0 } else { group.total.size as f64 / whole as f64 },
            sum: SumJson::of(group),
            images: Some(group.images).filter(|&images| images > 0),
            unexplained: group.unexplained.size,
            unexplained_rss: group
                .total
                .sizes
                .rss
                .map(|_| group.unexplained.sizes.rss.unwrap_or(0)),
            labels: group
                .labels
                .iter()
                .map(|label| LabelTotalJson { group: key(&label.total), sum: SumJson::of(label) })
                .collect(),
        }
    };
    totals.groups.iter().map(of_group).collect()
}
