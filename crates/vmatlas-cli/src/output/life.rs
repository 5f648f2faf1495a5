//! `vmatlas blame RECORDING ADDR`: reports the life of an address.

use super::Answer;
use super::blame::stack;
use super::fit::{Fit, columns};
use super::json::formatter::Addresses;
use super::json::{self, Hex, Schema, TargetJson, WarningJson};
use super::origin::FrameJson;
use super::show::table::recorded_title;
use super::style::Paint;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::recording::{LifeKind, LifeStep};
use vmatlas::words::{self, seconds, size};
use vmatlas::{Atlas, Life, Lives, syscall};

/// The column of the functions of a stack.
const INDENT: usize = 21;

/// The lives of some addresses.
pub(crate) struct LivesAnswer<'a> {
    pub(crate) atlas: &'a Atlas,
    pub(crate) lives: &'a Lives<'a>,
    /// The most functions to show of a stack.
    pub(crate) most: usize,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LivesJson<'a> {
    schema: Schema,
    target: TargetJson,
    addresses: Vec<LifeJson<'a>>,
    warnings: Vec<WarningJson>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LifeJson<'a> {
    address: Hex,
    life: Vec<StepJson<'a>>,
    /// Why later events are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct StepJson<'a> {
    event: u64,
    time_s: f64,
    pid: u32,
    tid: u32,
    comm: String,
    what: &'static str,
    /// The address of the memory at that time.
    address: Hex,
    /// The address that the memory moved from or to.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syscall: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    perms: Option<String>,
    stack: Vec<FrameJson<'a>>,
}

impl Answer for LivesAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        let text = |life: &Life| text(self.lives, life, self.most, paint);
        self.lives.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let step = |step| step_json(self.lives, step);
        let lives = self.lives.iter().map(|life| LifeJson {
            address: Hex(life.address),
            life: life.steps.iter().map(step).collect(),
            error: life.error.map(|error| error.to_string()),
        });
        json::write(
            out,
            addresses,
            &LivesJson {
                schema: Schema,
                target: TargetJson::of(self.atlas),
                addresses: lives.collect(),
                warnings: json::warnings(self.atlas).collect(),
            },
        )
    }
}

fn text(lives: &Lives<'_>, life: &Life, most: usize, paint: Paint) -> String {
    let recorded = lives.recorded();
    let mut text = format!("{:#x} of {}", life.address, recorded_title(recorded).0);
    if life.steps.is_empty() {
        match life.error {
            Some(_) => text.push_str(" was not mapped by the events that can be read\n"),
            None => {
                let _ = writeln!(text, " was not mapped by an event up to {}", recorded.event());
            }
        }
        return text;
    }
    text.push('\n');
    let fit = Fit::of_stdout();
    for step in &life.steps {
        let event = &step.event;
        let task = lives.task(step).filter(|_| !event.task.is_none());
        let start = format!("  {:>10} #{:<6} ", seconds(event.time_ns), event.number);
        let fit = fit.behind(columns(&start));
        let (mut lines, by) = (fit.lines(&sentence(step)), format!("by {}", words::thread(task)));
        let last = lines.pop().unwrap_or_default();
        let fits = columns(&last) + 1 + columns(&by) <= fit.room(0);
        let below = format!("\n{:1$}", "", columns(&start));
        let lines = lines.iter().map(|line| paint.bold(line) + &below);
        let _ = writeln!(
            text,
            "{start}{}{}{}{}",
            lines.collect::<String>(),
            paint.bold(&last),
            if fits { " " } else { &below },
            paint.dim(&fit.middle(&by, fit.room(0)))
        );
        stack::write(&mut text, lives.frames(step), most, INDENT, paint);
    }
    text
}

/// Describes a step.
fn sentence(step: &LifeStep) -> String {
    let row = step.row.map_or_else(String::new, |(range, perms)| {
        format!("{range} {} {perms}", size(range.size()))
    });
    let call = syscall(step).unwrap_or("kernel");
    match step.kind {
        LifeKind::Before => format!("there before the recording: {row}"),
        LifeKind::Made => format!("made by {call}: {row}"),
        LifeKind::Replaced => format!("mapped over by {call}: {row}"),
        LifeKind::MovedFrom(from) => format!("moved here from {from:#x} by {call}: {row}"),
        LifeKind::MovedTo(to) if step.row.is_some() => {
            format!("contents moved to {to:#x} by {call}; it stays mapped: {row}")
        }
        LifeKind::MovedTo(to) => format!("moved away to {to:#x} by {call}"),
        LifeKind::Unmapped => format!("unmapped by {call}"),
        LifeKind::Protected => format!("protected by {call}: {row}"),
        LifeKind::Changed => format!("changed by {call}: {row}"),
        LifeKind::Reshaped => format!("bounds of its mapping changed by {call}: {row}"),
        LifeKind::Observed => format!("corrected from the kernel's rows: {row}"),
        LifeKind::Inherited => format!("copied for a child by fork: {row}"),
        LifeKind::Ended => format!("gone with its address space ({call})"),
        _ => format!("{call}: {row}"),
    }
}

fn word(kind: LifeKind) -> &'static str {
    match kind {
        LifeKind::Before => "before-recording",
        LifeKind::Made => "made",
        LifeKind::Replaced => "replaced",
        LifeKind::MovedFrom(_) => "moved-from",
        LifeKind::MovedTo(_) => "moved-to",
        LifeKind::Unmapped => "unmapped",
        LifeKind::Protected => "protected",
        LifeKind::Changed => "changed",
        LifeKind::Reshaped => "reshaped",
        LifeKind::Observed => "observed",
        LifeKind::Inherited => "inherited",
        LifeKind::Ended => "ended",
        _ => "other",
    }
}

fn step_json<'a>(lives: &'a Lives<'_>, step: &LifeStep) -> StepJson<'a> {
    let event = &step.event;
    let task = lives.task(step);
    let stack = lives.frames(step);
    StepJson {
        event: event.number.get(),
        time_s: event.time_ns as f64 / 1e9,
        pid: task.map_or(0, |task| task.pid),
        tid: task.map_or(0, |task| task.tid.get()),
        comm: task
            .map_or_else(String::new, |task| String::from_utf8_lossy(&task.comm).into_owned()),
        what: word(step.kind),
        address: Hex(step.address),
        other: match step.kind {
            LifeKind::MovedFrom(other) | LifeKind::MovedTo(other) => Some(Hex(other)),
            _ => None,
        },
        syscall: syscall(step),
        start: step.row.map(|(range, _)| Hex(range.start)),
        end: step.row.map(|(range, _)| Hex(range.end)),
        perms: step.row.map(|(_, perms)| perms.to_string()),
        stack: stack.iter().map(FrameJson::of).collect(),
    }
}
