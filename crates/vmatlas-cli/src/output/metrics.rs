//! Sums over processes in the text of OpenMetrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use vmatlas::audit::Audit;
use vmatlas::words::printable;
use vmatlas::{By, Survey, SurveyGroup};

/// A program: the last part of its path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Program {
    program: String,
}

/// A part of the machine's memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Part {
    part: &'static str,
}

/// The programs that have no label of their own.
const OTHER: &str = "other";

/// A number for each program.
struct ByProgram {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    of: fn(&SurveyGroup) -> Option<u64>,
}

const BY_PROGRAM: [ByProgram; 10] = [
    ByProgram {
        name: "program_processes",
        help: "Processes of the program",
        unit: None,
        of: |sum| Some(sum.processes),
    },
    ByProgram { name: "program_mappings", help: "Their mappings", unit: None, of: |sum| sum.rows },
    ByProgram {
        name: "program_mappings_max",
        help: "Mappings of the process that has the most; the kernel allows vmatlas_max_map_count",
        unit: None,
        of: |sum| sum.rows.map(|_| sum.most_rows),
    },
    ByProgram {
        name: "program_resident",
        help: "Resident memory (rss)",
        unit: Some(Unit::Bytes),
        of: |sum| sum.sizes.rss,
    },
    ByProgram {
        name: "program_proportional",
        help: "Resident memory, of which each page counts once for all that map it (pss)",
        unit: Some(Unit::Bytes),
        of: |sum| sum.sizes.pss,
    },
    ByProgram {
        name: "program_unique",
        help: "Resident memory that only one process maps (uss)",
        unit: Some(Unit::Bytes),
        of: |sum| sum.sizes.uss,
    },
    ByProgram {
        name: "program_swap",
        help: "Memory in swap space",
        unit: Some(Unit::Bytes),
        of: |sum| sum.sizes.swap,
    },
    ByProgram {
        name: "program_huge_pages",
        help: "Huge pages",
        unit: Some(Unit::Bytes),
        of: SurveyGroup::huge,
    },
    ByProgram {
        name: "program_writable_code",
        help: "Mappings that can be written and executed",
        unit: None,
        of: |sum| sum.rows.map(|_| sum.writable_code),
    },
    ByProgram {
        name: "program_deleted_code",
        help: "Mappings of code whose file was deleted or replaced",
        unit: None,
        of: |sum| sum.rows.map(|_| sum.deleted_code),
    },
];

/// A group of rows: a kind, or the group of a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    label: String,
}

/// A rule of audits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: &'static str,
    severity: &'static str,
}

/// A sum of a group.
type Sum = fn(&SurveyGroup) -> Option<u64>;

/// Sums of a kind or label.
const BY_ROWS: [(&str, &str, Sum); 3] = [
    ("resident", "Resident memory (rss)", |sum| sum.sizes.rss),
    (
        "proportional",
        "Resident memory, of which each page counts once for all that map it (pss)",
        |sum| sum.sizes.pss,
    ),
    ("swap", "Memory in swap space", |sum| sum.sizes.swap),
];

/// A number of bytes for each label.
type Bytes<L> = Family<L, Gauge<u64, AtomicU64>>;

/// Metrics in the making.
pub(crate) struct Metrics(Registry);

impl Metrics {
    pub(crate) fn new() -> Metrics {
        Metrics(Registry::with_prefix("vmatlas"))
    }

    /// The sums of a survey by program, with labels for the largest `top` programs, and what else it
    /// has.
    pub(crate) fn programs(&mut self, survey: &Survey, top: usize) {
        let programs = programs(&survey.groups, top);
        for ByProgram { name, help, unit, of } in BY_PROGRAM {
            let family = Bytes::<Program>::default();
            let mut is_known = false;
            for (program, groups) in &programs {
                let known: Option<Vec<u64>> = groups.iter().map(|group| of(group)).collect();
                let Some(known) = known else { continue };
                let value = match name {
                    "program_mappings_max" => known.into_iter().max().unwrap_or(0),
                    _ => known.into_iter().sum(),
                };
                family.get_or_create(&Program { program: program.clone() }).set(value);
                is_known = true;
            }
            if is_known {
                self.register(name, help, unit, family);
            }
        }
        self.machine(survey);
        let counts = &survey.counts;
        let (refused, silent) = (counts.refused.len() as u64, counts.silent.len() as u64);
        for (name, help, value) in [
            (
                "max_map_count",
                "Mappings that a process may have (vm.max_map_count)",
                survey.max_map_count,
            ),
            ("processes_refused", "Processes that vmatlas may not read", Some(refused)),
            ("processes_silent", "Processes that did not answer in time", Some(silent)),
        ] {
            let gauge = Gauge::<u64, AtomicU64>::default();
            if let Some(value) = value {
                gauge.set(value);
                self.register(name, help, None, gauge);
            }
        }
    }

    fn machine(&mut self, survey: &Survey) {
        let Some(closing) = &survey.closing else { return };
        let parts = Family::<Part, Gauge>::default();
        let machine = &closing.machine;
        for (part, bytes) in [
            ("private", closing.private),
            ("shared", closing.shared),
            ("unmapped_cache", machine.unmapped_cache),
            ("slab", machine.slab),
            ("page_tables", machine.page_tables),
            ("kernel", machine.kernel),
            ("huge_page_pool", machine.huge_page_pool),
            ("zswap", machine.zswap),
            ("free", machine.free),
        ] {
            parts.get_or_create(&Part { part }).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        parts.get_or_create(&Part { part: "unexplained" }).set(closing.unexplained);
        let help = "Memory of the machine by what it is for; the parts add up to MemTotal";
        self.register("machine_memory", help, Some(Unit::Bytes), parts);
    }

    /// The sums of a survey by kind or label. Of both there are only so many.
    pub(crate) fn groups(&mut self, survey: &Survey, by: By) {
        for (name, help, of) in BY_ROWS {
            let (kinds, labels) = (Bytes::<Kind>::default(), Bytes::<Label>::default());
            for group in &survey.groups {
                let key = printable(&group.key);
                let Some(bytes) = of(group) else { continue };
                let _ = match by {
                    By::Label => labels.get_or_create(&Label { label: key }).set(bytes),
                    _ => kinds.get_or_create(&Kind { kind: key }).set(bytes),
                };
            }
            let (name, unit) = (format!("{}_{name}", by.word()), Some(Unit::Bytes));
            match by {
                By::Label => self.register(&name, help, unit, labels),
                _ => self.register(&name, help, unit, kinds),
            }
        }
    }

    /// The findings of an audit by rule.
    pub(crate) fn findings(&mut self, audit: &Audit) {
        let family = Family::<RuleLabels, Gauge>::default();
        for found in &audit.findings {
            let (rule, severity) = (found.finding.rule.id, found.finding.severity.word());
            family.get_or_create(&RuleLabels { rule, severity }).inc();
        }
        self.register("findings", "Findings of an audit by rule and severity", None, family);
    }

    /// The time that reading took.
    pub(crate) fn took(&mut self, time: Duration) {
        let seconds = Gauge::<f64, AtomicU64>::default();
        seconds.set(time.as_secs_f64());
        let help = "Time that reading the processes took";
        self.register("reading", help, Some(Unit::Seconds), seconds);
    }

    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }

    fn register<M: prometheus_client::registry::Metric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        metric: M,
    ) {
        match unit {
            Some(unit) => self.0.register_with_unit(name, help, unit, metric),
            None => self.0.register(name, help, metric),
        }
    }
}

/// The groups by the names of their programs: the first `top` names have their own.
fn programs(groups: &[SurveyGroup], top: usize) -> BTreeMap<String, Vec<&SurveyGroup>> {
    let mut programs: BTreeMap<String, Vec<&SurveyGroup>> = BTreeMap::new();
    let mut others = Vec::new();
    for group in groups {
        let name = printable(group.key.rsplit(|byte| *byte == b'/').next().unwrap_or_default());
        let count = programs.len();
        match programs.get_mut(&name) {
            Some(known) => known.push(group),
            None if count < top && name != OTHER => drop(programs.insert(name, vec![group])),
            None => others.push(group),
        }
    }
    if !others.is_empty() {
        programs.insert(OTHER.to_owned(), others);
    }
    programs
}
