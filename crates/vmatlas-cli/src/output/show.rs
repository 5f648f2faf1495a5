//! The annotated map.

pub(crate) mod plan;
pub(crate) mod table;

use super::json::{self, MappingJson, SCHEMA, TargetJson};
use super::style::Paint;
use super::{Answer, pieces};
use plan::Plan;
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, Write};
use vmatlas::{Atlas, Filter, MapTotals, Row, Total, words};

/// The map of a target, with all or some of its rows.
pub(crate) struct Show<'a> {
    pub(crate) atlas: &'a Atlas,
    /// The indexes of the shown rows, in display order.
    pub(crate) rows: &'a [usize],
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) plan: Plan,
}

impl Show<'_> {
    fn totals(&self) -> MapTotals {
        MapTotals::of(self.atlas, |index| {
            let matches =
                |filter: &Filter| self.atlas.row(index).is_some_and(|row| filter.matches(&row));
            self.filter.is_none_or(matches)
        })
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().filter_map(|&index| self.atlas.row(index))
    }
}

impl Answer for Show<'_> {
    fn text(&self, paint: Paint) -> String {
        let rows: Vec<Row<'_>> = self.rows().collect();
        table::show(self.atlas, &rows, || self.totals(), &self.plan, paint)
    }

    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let target = json::text(&TargetJson::of(self.atlas))?;
        write!(out, "{{\"schema\":{},\"target\":{target},\"mappings\":[", json::text(SCHEMA)?)?;
        pieces::write(out, self.rows, |place, index, piece| {
            let Some(row) = self.atlas.row(index) else { return };
            if place > 0 {
                piece.push(b',');
            }
            // Only writing to memory could fail, and it cannot.
            drop(MappingJson { row, labels: true }.append(piece));
        })?;
        let warnings: Vec<json::WarningJson> = json::warnings(self.atlas).collect();
        let (totals, warnings) = (json::text(&totals(&self.totals()))?, json::text(&warnings)?);
        writeln!(out, "],\"totals\":{totals},\"warnings\":{warnings}}}")
    }

    fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut writer = ::csv::Writer::from_writer(out);
        let columns = &self.plan.columns;
        let mut write = |record: Vec<Cow<'_, [u8]>>| writer.write_record(record).map_err(io_error);
        if self.plan.header {
            write(columns.iter().map(|column| Cow::Borrowed(column.name().as_bytes())).collect())?;
        }
        for row in self.rows() {
            let exact = columns.iter().map(|column| column.exact(&row));
            match self.plan.terminal {
                true => write(exact.map(|value| words::name(&value).into_bytes().into()).collect()),
                false => write(exact.collect()),
            }?;
        }
        writer.flush()
    }

    fn raw(&self, out: &mut dyn Write) -> io::Result<()> {
        let (maps, plan) = (self.atlas.maps(), &self.plan);
        if !plan.terminal {
            return pieces::write(out, self.rows, |_, index, text| {
                maps.render_row(index, plan.format, plan.kernel, text);
            });
        }
        // A line feed of a name would begin a line.
        let mut format = plan.format;
        format.escaped = true;
        pieces::write(out, self.rows, |_, index, text| {
            let mut exact = Vec::new();
            maps.render_row(index, format, plan.kernel, &mut exact);
            escape_lines(&exact, text);
        })
    }
}

/// Appends the lines of a row with their controls escaped. Kernels before 6.0 align smaps fields
/// with tabs, which become blanks.
fn escape_lines(exact: &[u8], text: &mut Vec<u8>) {
    for (number, line) in exact.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let is_field = number > 0;
        let blanks = |byte: &u8| if is_field && *byte == b'\t' { b' ' } else { *byte };
        let line: Vec<u8> = line.iter().map(blanks).collect();
        text.extend_from_slice(words::printable(&line).as_bytes());
        text.push(b'\n');
    }
}

/// Extracts the underlying I/O error, so that a closed pipe is recognised.
fn io_error(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

/// The sums of a kind.
#[derive(Serialize)]
struct TotalJson {
    kind: String,
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
struct LabelTotalJson {
    group: String,
    #[serde(flatten)]
    sum: SumJson,
}

#[derive(Serialize)]
struct SumJson {
    mappings: u64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pss: Option<u64>,
    /// Memory in huge pages, which the kernel does not count as resident.
    #[serde(skip_serializing_if = "Option::is_none")]
    hugetlb: Option<u64>,
}

impl SumJson {
    fn of(total: &Total) -> SumJson {
        let Total { mappings, size, rss, pss, hugetlb, .. } = *total;
        SumJson { mappings, size, rss, pss, hugetlb: hugetlb.filter(|huge| *huge > 0) }
    }
}

fn totals(totals: &MapTotals) -> Vec<TotalJson> {
    let key = |total: &Total| String::from_utf8_lossy(&total.key).into_owned();
    let whole = totals.all.size;
    let of_kind = |kind: &vmatlas::KindTotals| TotalJson {
        kind: key(&kind.total),
        share: if whole == 0 { 0.0 } else { kind.total.size as f64 / whole as f64 },
        sum: SumJson::of(&kind.total),
        images: Some(kind.images).filter(|&images| images > 0),
        unexplained: kind.unexplained.size,
        unexplained_rss: kind.total.rss.map(|_| kind.unexplained.rss.unwrap_or(0)),
        labels: kind
            .labels
            .iter()
            .map(|total| LabelTotalJson { group: key(total), sum: SumJson::of(total) })
            .collect(),
    };
    totals.kinds.iter().map(of_kind).collect()
}
