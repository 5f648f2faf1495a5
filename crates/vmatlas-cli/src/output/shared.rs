//! Memory that several processes map.

use super::Answer;
use super::fit::Fit;
use super::json::formatter::Addresses;
use super::json::{self, Hex, Schema};
use super::style::Paint;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::words::{printable, size};
use vmatlas::{FrameKind, PagePayer, Shared, SharedRow, Sharer};

/// The answer of `shared`.
pub(crate) struct SharedAnswer<'a> {
    pub(crate) shared: &'a Shared,
    /// The targets as the caller wrote them.
    pub(crate) names: &'a [String],
    /// The most processes.
    pub(crate) top: usize,
    pub(crate) mappings: bool,
    pub(crate) fit: Fit,
}

/// A number of other things.
fn others(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 other {one}") } else { format!("{count} other {many}") }
}

/// What a kind of frame means for the figures; `None` if nothing.
fn meaning(kind: FrameKind) -> Option<&'static str> {
    Some(match kind {
        FrameKind::Folio => "in large folios, whose pages the kernel may count as mapped together",
        FrameKind::Hugetlb => "in huge pages of hugetlbfs",
        FrameKind::Ksm => "merged by KSM: equal pages, not memory that was shared",
        _ => return None,
    })
}

/// The name of a mapping: the last part of its file's path, or its kind.
fn name(row: &SharedRow) -> String {
    let last = row.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if last.is_empty() { row.kind.to_owned() } else { printable(last) }
}

/// What a control group pays for.
fn payer(payer: &PagePayer) -> String {
    let who = match payer.cgroup.as_str() {
        "" => "No control group".to_owned(),
        path => printable(path.as_bytes()),
    };
    let mut text = format!("{who} pays for {} of it", size(payer.bytes));
    if payer.used_by_others > 0 {
        let groups = others(payer.users.len(), "group uses", "groups use");
        let _ = write!(text, ", of which {groups} {}", size(payer.used_by_others));
    }
    text + "."
}

impl SharedAnswer<'_> {
    /// What is missing, a line each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let listed = |pids: &[u32]| pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let mut notes = Vec::new();
        if !self.shared.refused.is_empty() {
            notes.push(format!("may not be read: {}", listed(&self.shared.refused)));
        }
        if !self.shared.silent.is_empty() {
            let silent = listed(&self.shared.silent);
            notes.push(format!("no answer in time from {silent}; they are left out"));
        }
        notes
    }

    fn summary(&self) -> String {
        let Shared { targets, resident, shared, sharers, zero, .. } = self.shared;
        let who = match &targets[..] {
            [(pid, comm)] => format!("{pid} {}", printable(comm)),
            several => format!(
                "{} ({} processes)",
                printable(self.names.join(" ").as_bytes()),
                several.len()
            ),
        };
        let mut text = format!("{who} has {} resident. ", size(*resident));
        match sharers.len() {
            0 => text.push_str("No other process maps any of it."),
            count => {
                let maps = others(count, "process maps", "processes map");
                let own = size(resident.saturating_sub(*shared));
                let _ = write!(text, "{maps} {} of it; {own} is its own.", size(*shared));
            }
        }
        if *zero > 0 {
            let _ = write!(text, " Besides, {} of it is the kernel's page of zeros.", size(*zero));
        }
        text
    }

    fn sharer(&self, text: &mut String, sharer: &Sharer) {
        let comm = self.fit.end(&printable(&sharer.comm), 15);
        let by = sharer.rows.first().map(|pair| match (name(&pair.other), name(&pair.target)) {
            (other, target) if other == target => other,
            (other, target) => format!("{other} (there {target})"),
        });
        let more = match sharer.rows.len() {
            0 | 1 => String::new(),
            rows => format!(" and {} more", rows - 1),
        };
        let by = self.fit.middle(&format!("{}{more}", by.unwrap_or_default()), self.fit.room(34));
        let _ = writeln!(text, "{:>7} {:>8} {comm:<15} {by}", size(sharer.bytes), sharer.pid);
        for pair in sharer.rows.iter().filter(|_| self.mappings) {
            let line = format!(
                "{:>7} {} {} = {} {}",
                size(pair.bytes),
                pair.other.range,
                name(&pair.other),
                pair.target.range,
                name(&pair.target)
            );
            let _ = writeln!(text, "        {}", self.fit.end(&line, self.fit.room(8)));
        }
    }
}

impl Answer for SharedAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut paragraph = |sentence: &str| {
            self.fit.lines(sentence).iter().for_each(|line| {
                let _ = writeln!(text, "{line}");
            });
        };
        paragraph(&self.summary());
        self.shared.payers.iter().take(self.top).for_each(|group| paragraph(&payer(group)));
        for (kind, bytes) in &self.shared.kinds {
            if let Some(meaning) = meaning(*kind) {
                paragraph(&format!("{} of what is shared is {meaning}.", size(*bytes)));
            }
        }
        if self.shared.sharers.is_empty() {
            return text;
        }
        let header =
            format!("{:>7} {:>8} {:<15} largest mapping of it", "shared", "pid", "process");
        let _ = writeln!(text, "\n{}", paint.dim(&header));
        let shown = self.shared.sharers.iter().take(self.top);
        shown.for_each(|sharer| self.sharer(&mut text, sharer));
        let left_out = self.shared.sharers.len().saturating_sub(self.top);
        if left_out > 0 {
            let _ =
                writeln!(text, "{left_out} more; --top {} shows all", self.shared.sharers.len());
        }
        text
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let shared = self.shared;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let row = |row: &SharedRow| RowJson {
            pid: row.pid,
            start: Hex(row.range.start),
            end: Hex(row.range.end),
            name: text(&row.name),
            kind: row.kind,
        };
        let document = SharedJson {
            schema: Schema,
            targets: shared
                .targets
                .iter()
                .map(|(pid, comm)| TargetJson { pid: *pid, comm: text(comm) })
                .collect(),
            resident: shared.resident,
            shared: shared.shared,
            zero: shared.zero,
            sharers: shared
                .sharers
                .iter()
                .map(|sharer| SharerJson {
                    pid: sharer.pid,
                    comm: text(&sharer.comm),
                    cgroup: sharer.cgroup.clone(),
                    bytes: sharer.bytes,
                    mappings: sharer
                        .rows
                        .iter()
                        .map(|pair| PairJson {
                            bytes: pair.bytes,
                            target: row(&pair.target),
                            other: row(&pair.other),
                        })
                        .collect(),
                })
                .collect(),
            payers: shared
                .payers
                .iter()
                .map(|payer| PayerJson {
                    cgroup: Some(payer.cgroup.clone()).filter(|cgroup| !cgroup.is_empty()),
                    bytes: payer.bytes,
                    used_by_others: payer.used_by_others,
                    users: payer.users.iter().cloned().collect(),
                })
                .collect(),
            kinds: shared
                .kinds
                .iter()
                .map(|(kind, bytes)| KindJson { kind: word(*kind), bytes: *bytes })
                .collect(),
            gone: shared.gone,
            silent: shared.silent.clone(),
            refused: shared.refused.clone(),
        };
        json::write(out, addresses, &document)
    }
}

fn word(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Folio => "folio",
        FrameKind::Hugetlb => "hugetlb",
        FrameKind::Ksm => "ksm",
        _ => "other",
    }
}

/// Bytes of page frames; a frame that the targets map several times counts once.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SharedJson {
    schema: Schema,
    targets: Vec<TargetJson>,
    resident: u64,
    /// What others map, too.
    shared: u64,
    /// The kernel's page of zeros, which is in neither.
    zero: u64,
    sharers: Vec<SharerJson>,
    /// The control groups that are charged; empty if the kernel does not say.
    payers: Vec<PayerJson>,
    /// What is shared, by kinds of frames that are no pages by themselves.
    kinds: Vec<KindJson>,
    gone: u64,
    silent: Vec<u32>,
    refused: Vec<u32>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct TargetJson {
    pid: u32,
    comm: String,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SharerJson {
    pid: u32,
    comm: String,
    cgroup: String,
    /// A frame that it maps twice counts twice.
    bytes: u64,
    mappings: Vec<PairJson>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PairJson {
    bytes: u64,
    target: RowJson,
    other: RowJson,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RowJson {
    pid: u32,
    start: Hex,
    end: Hex,
    name: String,
    kind: &'static str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PayerJson {
    /// `null`: no group is charged.
    cgroup: Option<String>,
    bytes: u64,
    used_by_others: u64,
    /// The groups that use it.
    users: Vec<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct KindJson {
    kind: &'static str,
    bytes: u64,
}
