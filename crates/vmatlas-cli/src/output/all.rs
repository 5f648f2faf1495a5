//! Sums over processes.

use super::Answer;
use super::csv::{self, Cell};
use super::fit::Fit;
use super::json::formatter::Addresses;
use super::json::{self, Schema};
use super::style::Paint;
use super::unread::{self, processes};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::words::{self, printable, size};
use vmatlas::{Closing, Depth, GroupBy, GroupClosing, Reach, Survey, SurveyGroup};

/// The answer of `all`.
pub(crate) struct AllAnswer<'a> {
    pub(crate) survey: &'a Survey,
    /// The most lines of sums.
    pub(crate) top: Option<usize>,
    pub(crate) fit: Fit,
    /// Whether no target was given.
    pub(crate) is_machine: bool,
}

/// A column of numbers.
struct Column {
    name: &'static str,
    text: fn(&SurveyGroup) -> String,
    /// Whether it stands only where a group has more than nothing in it.
    is_optional: bool,
}

const fn column(name: &'static str, text: fn(&SurveyGroup) -> String) -> Column {
    Column { name, text, is_optional: false }
}

/// A number of bytes; a question mark where it is not known.
fn bytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "?".to_owned(), size)
}

const PROCESSES: Column = column("procs", |group| group.processes.to_string());
const ROWS: Column =
    column("rows", |group| group.rows.map_or_else(|| "?".to_owned(), |rows| rows.to_string()));
const RSS: Column = column("rss", |group| bytes(group.sizes.rss));
const PSS: Column = column("pss", |group| bytes(group.sizes.pss));
const USS: Column = column("uss", |group| bytes(group.sizes.uss));
const SWAP: Column =
    Column { name: "swap", text: |group| bytes(group.sizes.swap), is_optional: true };
const HUGE: Column = Column { name: "huge", text: |group| bytes(group.huge()), is_optional: true };
const MOST: Column = column("most", |group| group.most_rows.to_string());
const DELETED: Column = column("deleted", |group| group.deleted_code.to_string());
const WRITABLE_CODE: Column = column("w+x", |group| group.writable_code.to_string());

const SUMS: [Column; 7] = [PROCESSES, ROWS, RSS, PSS, USS, SWAP, HUGE];
const COUNTS: [Column; 7] = [PROCESSES, ROWS, MOST, WRITABLE_CODE, DELETED, RSS, SWAP];

/// The width of a column of numbers, with the blank behind it.
const WIDTH: usize = 8;

impl AllAnswer<'_> {
    /// What is missing, a line each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = unread::notes(&self.survey.counts, self.survey.reach);
        if let Some(partial) = self.survey.partial {
            notes.push(format!(
                "--budget: read {} of {} processes, which have {} of {} resident; pss and uss of the others are not known",
                partial.read,
                partial.processes,
                size(partial.read_rss),
                size(partial.rss)
            ));
        }
        notes
    }

    fn shown(&self) -> &[SurveyGroup] {
        let groups = &self.survey.groups;
        &groups[..self.top.unwrap_or(usize::MAX).min(groups.len())]
    }

    fn columns(&self) -> Vec<&'static Column> {
        static OF_SUMS: &[Column] = &SUMS;
        static OF_COUNTS: &[Column] = &COUNTS;
        let columns = if self.survey.depth == Depth::Brief { OF_COUNTS } else { OF_SUMS };
        let all = &self.survey.all;
        let has = |column: &&Column| {
            !column.is_optional || (column.text)(all) != size(0) && (column.text)(all) != "?"
        };
        columns.iter().filter(has).collect()
    }

    /// The keys as they are shown: of paths the last part, where no other one ends so.
    fn keys(&self) -> Vec<String> {
        let groups = self.shown();
        let name = |key: &[u8]| {
            let name = match self.survey.by {
                GroupBy::Program => key.rsplit(|byte| *byte == b'/').next().unwrap_or_default(),
                _ => key,
            };
            printable(name)
        };
        let mut ends: HashMap<String, usize> = HashMap::new();
        groups.iter().for_each(|group| *ends.entry(name(&group.key)).or_default() += 1);
        let key = |group: &SurveyGroup| match name(&group.key) {
            name if ends.get(&name) == Some(&1) && !name.is_empty() => name,
            _ => printable(&group.key),
        };
        groups.iter().map(key).collect()
    }

    fn first_line(&self) -> String {
        let Survey { all, counts, reach, depth, .. } = self.survey;
        let mut text = processes(all.processes);
        if let Some(rows) = all.rows {
            let _ = write!(text, ", {}", words::count(rows, "mapping"));
        }
        let _ = write!(text, ": {} resident", bytes(all.sizes.rss));
        match (depth, all.sizes.pss) {
            (Depth::Brief, _) => text.push_str(" by their status"),
            (_, Some(pss)) => {
                let _ = write!(text, ", {} with each page counted once", size(pss));
            }
            _ => {}
        }
        let who = match reach {
            Reach::Own => "Read without privileges: only processes of this user.",
            Reach::All => "Read with CAP_PERFMON or CAP_SYS_PTRACE.",
            _ => "Read as root.",
        };
        let mut lines = vec![format!("{text}.")];
        let mut others = Vec::new();
        let mut other = |count: u64, one: &str, many: &str| {
            if count > 0 {
                others.push(format!("{count} {}", if count == 1 { one } else { many }));
            }
        };
        other(counts.kernel_threads, "kernel thread", "kernel threads");
        other(counts.zombies, "zombie", "zombies");
        other(counts.leaders_ended, "without its main thread", "without their main threads");
        other(counts.gone, "ended meanwhile", "ended meanwhile");
        let others = match others.is_empty() {
            true => String::new(),
            false => format!(" Besides: {}.", others.join(", ")),
        };
        lines.push(format!("{who}{others}"));
        lines.join("\n")
    }

    fn table(&self, text: &mut String, paint: Paint) {
        let columns = self.columns();
        let keys = self.keys();
        let room = self.fit.room(WIDTH * columns.len());
        let mut header = String::new();
        columns.iter().for_each(|column| {
            let _ = write!(header, "{:>7} ", column.name);
        });
        let _ = writeln!(text, "{}", paint.dim(&format!("{header}{}", self.survey.by.word())));
        let mut line = |key: &str, group: &SurveyGroup| {
            columns.iter().for_each(|column| {
                let _ = write!(text, "{:>7} ", (column.text)(group));
            });
            let _ = writeln!(text, "{}", self.fit.path(key, room));
        };
        self.shown().iter().zip(&keys).for_each(|(group, key)| line(key, group));
        let left_out = self.survey.groups.len() - self.shown().len();
        if left_out > 0 {
            let _ = writeln!(text, "{left_out} more; --top {} shows all", self.survey.groups.len());
        }
    }
}

/// The parts of the machine's memory.
fn closing_lines(closing: &Closing) -> Vec<(String, i128)> {
    let machine = &closing.machine;
    let slab = match machine.reclaimable_slab {
        0 => "slab".to_owned(),
        bytes => format!("slab ({} reclaimable)", size(bytes)),
    };
    let parts = [
        ("processes, private (uss)".to_owned(), closing.private),
        ("processes, shared, each page once".to_owned(), closing.shared),
        ("cache that nobody maps".to_owned(), machine.unmapped_cache),
        (slab, machine.slab),
        ("page tables".to_owned(), machine.page_tables),
        ("kernel stacks, memory per processor".to_owned(), machine.kernel),
        ("pool of huge pages".to_owned(), machine.huge_page_pool),
        ("compressed swap".to_owned(), machine.zswap),
        ("free".to_owned(), machine.free),
    ];
    let parts = parts.into_iter().map(|(name, bytes)| (name, i128::from(bytes)));
    parts.chain([("unexplained".to_owned(), i128::from(closing.unexplained))]).collect()
}

/// The parts of a control group's memory.
fn group_lines(closing: &GroupClosing) -> Vec<(String, i128)> {
    let kernel = closing.memory.kernel.unwrap_or(0);
    let parts = [
        ("memory that processes map", i128::from(closing.mapped)),
        ("cache that nobody maps", i128::from(closing.unmapped_cache)),
        ("the kernel's own", i128::from(kernel)),
        ("unexplained", i128::from(closing.unexplained)),
    ];
    parts.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// Writes parts that add up to a whole; what is zero is left out.
fn parts(text: &mut String, title: &str, whole: u64, parts: &[(String, i128)], paint: Paint) {
    let _ = writeln!(text, "{}", paint.dim(&format!("{title:<40} {:>7}", size(whole))));
    for (name, bytes) in parts.iter().filter(|(_, bytes)| *bytes != 0) {
        let sign = if *bytes < 0 { "-" } else { "" };
        let bytes = u64::try_from(bytes.unsigned_abs()).unwrap_or(u64::MAX);
        let _ = writeln!(text, "  {name:<38} {:>7}", format!("{sign}{}", size(bytes)));
    }
}

impl Answer for AllAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        let mut text = format!("{}\n\n", self.first_line());
        self.table(&mut text, paint);
        let Survey { closing, group_closing, all, max_map_count, .. } = self.survey;
        if let Some(closing) = closing {
            text.push('\n');
            parts(
                &mut text,
                "memory of the machine",
                closing.machine.total,
                &closing_lines(closing),
                paint,
            );
        } else if self.is_machine && self.survey.depth != Depth::Brief {
            text.push_str(
                "\nNot all memory was summed up, so it is not set against that of the machine.\n",
            );
        }
        if let Some((path, closing)) = group_closing {
            text.push('\n');
            let title = format!("charged to {}", printable(path.as_bytes()));
            parts(&mut text, &title, closing.memory.current, &group_lines(closing), paint);
        }
        if let Some(most) = max_map_count.filter(|most| all.most_rows > most / 2) {
            let _ = writeln!(
                text,
                "\nA process has {} mappings; vm.max_map_count allows {most}, then its mmap fails.",
                all.most_rows
            );
        }
        text
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let survey = self.survey;
        let document = AllJson {
            schema: Schema,
            by: survey.by.word(),
            tier: survey.reach.word(),
            depth: match survey.depth {
                Depth::Brief => "maps",
                Depth::Rollup => "smaps_rollup",
                _ => "smaps",
            },
            groups: self.shown().iter().map(GroupJson::of).collect(),
            left_out: survey.groups.len() - self.shown().len(),
            all: GroupJson::of(&survey.all),
            machine: survey.closing.as_ref().map(MachineJson::of),
            cgroup: survey
                .group_closing
                .as_ref()
                .map(|(path, closing)| CgroupJson::of(path, closing)),
            max_map_count: survey.max_map_count,
            kernel_threads: survey.counts.kernel_threads,
            zombies: survey.counts.zombies,
            gone: survey.counts.gone,
            refused: survey.counts.refused.iter().map(|refused| refused.pid).collect(),
            silent: survey.counts.silent.clone(),
            is_partial: survey.partial.is_some(),
            warnings: self.notes(),
        };
        json::write(out, addresses, &document)
    }

    fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        csv::write(out, &CSV, self.shown())
    }
}

const CSV: [csv::Column<SurveyGroup>; 12] = [
    ("key", |group| Cell::bytes(&group.key)),
    ("processes", |group| Cell::number(group.processes)),
    ("rows", |group| Cell::known(group.rows, Cell::number)),
    ("size", |group| Cell::number(group.size)),
    ("rss", |group| Cell::known(group.sizes.rss, Cell::number)),
    ("pss", |group| Cell::known(group.sizes.pss, Cell::number)),
    ("uss", |group| Cell::known(group.sizes.uss, Cell::number)),
    ("swap", |group| Cell::known(group.sizes.swap, Cell::number)),
    ("huge", |group| Cell::known(group.huge(), Cell::number)),
    ("most_rows", |group| Cell::number(group.most_rows)),
    ("writable_code", |group| Cell::number(group.writable_code)),
    ("deleted_code", |group| Cell::number(group.deleted_code)),
];

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AllJson {
    schema: Schema,
    by: &'static str,
    /// What vmatlas may read of other users' processes: `own`, `perfmon`, `root`.
    tier: &'static str,
    /// The file that was read of each process: `maps`, `smaps_rollup`, `smaps`.
    depth: &'static str,
    groups: Vec<GroupJson>,
    /// The groups that --top left out.
    left_out: usize,
    all: GroupJson,
    /// The memory of the machine, in bytes; of all processes only. Its parts add up to `total`.
    machine: Option<MachineJson>,
    /// What is charged to the control group that is the target, in bytes.
    cgroup: Option<CgroupJson>,
    max_map_count: Option<u64>,
    kernel_threads: u64,
    zombies: u64,
    /// The processes that ended while they were read.
    gone: u64,
    /// The processes that may not be read.
    refused: Vec<u32>,
    /// The processes that did not answer in time.
    silent: Vec<u32>,
    /// Whether the page tables of some processes were not read because of --budget.
    is_partial: bool,
    warnings: Vec<String>,
}

/// The sums of a group, in bytes; `null` where they are not known.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GroupJson {
    key: String,
    processes: u64,
    rows: Option<u64>,
    size: u64,
    rss: Option<u64>,
    pss: Option<u64>,
    uss: Option<u64>,
    swap: Option<u64>,
    /// Transparent huge pages, and those of hugetlbfs, which are not in rss.
    huge: Option<u64>,
    /// The rows of the process that has the most.
    most_rows: u64,
    writable_code: u64,
    deleted_code: u64,
}

impl GroupJson {
    pub(crate) fn of(group: &SurveyGroup) -> GroupJson {
        GroupJson {
            key: String::from_utf8_lossy(&group.key).into_owned(),
            processes: group.processes,
            rows: group.rows,
            size: group.size,
            rss: group.sizes.rss,
            pss: group.sizes.pss,
            uss: group.sizes.uss,
            swap: group.sizes.swap,
            huge: group.huge(),
            most_rows: group.most_rows,
            writable_code: group.writable_code,
            deleted_code: group.deleted_code,
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct MachineJson {
    total: u64,
    private: u64,
    shared: u64,
    unmapped_cache: u64,
    slab: u64,
    page_tables: u64,
    kernel: u64,
    huge_page_pool: u64,
    zswap: u64,
    free: u64,
    /// Below 0 if the parts were counted at different moments.
    unexplained: i64,
}

impl MachineJson {
    fn of(closing: &Closing) -> MachineJson {
        let machine = &closing.machine;
        MachineJson {
            total: machine.total,
            private: closing.private,
            shared: closing.shared,
            unmapped_cache: machine.unmapped_cache,
            slab: machine.slab,
            page_tables: machine.page_tables,
            kernel: machine.kernel,
            huge_page_pool: machine.huge_page_pool,
            zswap: machine.zswap,
            free: machine.free,
            unexplained: closing.unexplained,
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct CgroupJson {
    path: String,
    current: u64,
    limit: Option<u64>,
    mapped: u64,
    unmapped_cache: u64,
    kernel: Option<u64>,
    unexplained: i64,
}

impl CgroupJson {
    fn of(path: &str, closing: &GroupClosing) -> CgroupJson {
        CgroupJson {
            path: path.to_owned(),
            current: closing.memory.current,
            limit: closing.memory.limit,
            mapped: closing.mapped,
            unmapped_cache: closing.unmapped_cache,
            kernel: closing.memory.kernel,
            unexplained: closing.unexplained,
        }
    }
}
