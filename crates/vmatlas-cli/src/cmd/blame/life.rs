//! `vmatlas blame RECORDING ADDR`: the whole life of an address.

use super::text::{FRAMES, frames};
use crate::args::BlameArgs;
use crate::output::json::{self, Hex, SCHEMA};
use crate::output::origin::FrameJson;
use crate::output::style::{self, Paint};
use crate::output::words::{seconds, size};
use crate::output::{note, pager};
use crate::recording::{Recorded, Told};
use crate::stacks::Stacks;
use crate::trouble::Trouble;
use serde::Serialize;
use std::fmt::Write as _;
use vmatlas::recording::{LifeKind, LifeStep, What};

#[derive(Serialize)]
struct LivesJson<'a> {
    schema: &'static str,
    addresses: Vec<LifeJson<'a>>,
}

#[derive(Serialize)]
struct LifeJson<'a> {
    address: Hex,
    life: Vec<StepJson<'a>>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    event: u64,
    time_s: f64,
    pid: u32,
    tid: u32,
    comm: String,
    what: &'static str,
    /// The address at that time.
    address: Hex,
    /// Where its bytes came from or went to.
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

/// Tells the lives; the answer is no if one of the addresses was never mapped.
pub(super) fn run(mut recorded: Recorded, args: &BlameArgs) -> Result<bool, Trouble> {
    let until = recorded.number;
    let Told::Recording { recording, task, .. } = &mut recorded.told else {
        return Err(Trouble::new(format!(
            "{}: the life of an address is told of recordings, not of logs of strace",
            args.recording
        )));
    };
    let mut lives: Vec<(u64, Vec<LifeStep>)> = Vec::new();
    for &address in &args.addresses {
        let (steps, error) = recording.life(*task, address, until);
        if let Some(error) = error {
            note(&format!("{}: {error}; what follows is left out", args.recording));
        }
        lives.push((address, steps));
    }
    let all = lives.iter().flat_map(|(_, steps)| steps);
    let stacks = all.map(|step| (step.event.stack, step.event.task));
    recording.read_stacks();
    let stacks = Stacks::of_tasks(recording, stacks, recorded.symbols.clone());
    if args.common.json {
        let addresses = lives.iter().map(|(address, steps)| LifeJson {
            address: Hex(*address),
            life: steps.iter().map(|step| step_json(&recorded, &stacks, step)).collect(),
        });
        json::print(&LivesJson { schema: SCHEMA, addresses: addresses.collect() })?;
    } else {
        let paint = Paint(style::wanted(args.common.color));
        let text: Vec<String> = lives
            .iter()
            .map(|(address, steps)| text(&recorded, &stacks, *address, steps, args.top, paint))
            .collect();
        pager::print(&text.join("\n"))?;
    }
    Ok(lives.iter().all(|(_, steps)| !steps.is_empty()))
}

fn text(
    recorded: &Recorded,
    stacks: &Stacks,
    address: u64,
    steps: &[LifeStep],
    top: usize,
    paint: Paint,
) -> String {
    let mut text = format!("{address:#x} of {}", recorded.title().0);
    if steps.is_empty() {
        text.push_str(&format!(" was never mapped up to event {}\n", recorded.number));
        return text;
    }
    text.push('\n');
    let tasks = recorded.tasks();
    for step in steps {
        let event = &step.event;
        let _ = writeln!(
            text,
            "  {:>10} #{:<6} {} {}",
            seconds(event.time_ns),
            event.number,
            paint.bold(&sentence(step)),
            paint.dim(&format!("by {}", recorded.thread(event.task)))
        );
        frames(
            &mut text,
            stacks.of_task(tasks, event.stack, event.task),
            top.max(FRAMES),
            21,
            paint,
        );
    }
    text
}

/// What happened, in words.
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
        LifeKind::MovedTo(to) => format!("moved away to {to:#x} by {call}"),
        LifeKind::Unmapped => format!("unmapped by {call}"),
        LifeKind::Protected => format!("protected by {call}: {row}"),
        LifeKind::Changed => format!("changed by {call}: {row}"),
        LifeKind::Reshaped => format!("its mapping reshaped by {call} beside it: {row}"),
        LifeKind::Observed => format!("seen otherwise by the kernel's rows: {row}"),
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

fn syscall(step: &LifeStep) -> Option<&'static str> {
    match &step.event.what {
        What::Call { call, .. } => Some(call.kind.name()),
        What::Exec { .. } => Some("execve"),
        What::Clone { .. } => Some("clone"),
        What::Exit { .. } => Some("exit"),
        _ => None,
    }
}

fn step_json<'a>(recorded: &Recorded, stacks: &'a Stacks, step: &LifeStep) -> StepJson<'a> {
    let tasks = recorded.tasks();
    let event = &step.event;
    let task = tasks.get(event.task as usize);
    let stack = stacks.of_task(tasks, event.stack, event.task);
    StepJson {
        event: event.number,
        time_s: event.time_ns as f64 / 1e9,
        pid: task.map_or(0, |task| task.pid),
        tid: task.map_or(0, |task| task.tid),
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
