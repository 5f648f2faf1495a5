//! Reading a recording of ten million events. Target: 3 million events per second, 50 ms for a
//! moment, and 256 MiB while it is written.

use super::Bench;
use crate::measure::{Contender, race};
use crate::report::{Section, Target};
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use vmatlas_linux::RecordingFile;
use vmatlas_recording::{EventNumber, Moment, Recording, Replay, TaskId};

pub(super) fn run(bench: &Bench, programs: &Path) -> Section {
    let (events, stacks) =
        if bench.scale.quick { (200_000, 10_000) } else { (10_000_000, 400_000) };
    let mut section = Section::new(format!("a recording of {events} events, {stacks} stacks"));
    let file = bench.dir.join("many.vmrec");
    let made = match make(programs, events, stacks, &file) {
        Ok(made) => made,
        Err(why) => {
            section.count("many_events", &why, "", Some(false));
            return section;
        }
    };
    let nanos = made["nanos"].as_f64().unwrap_or(0.0);
    section.count(
        "written and followed, each event",
        &format!("{:.0} ns", nanos / events as f64),
        "",
        None,
    );
    let peak = made["peak_kib"].as_u64().unwrap_or(u64::MAX) >> 10;
    section.count(
        "memory of Writer and Replay",
        &format!("{peak} MiB"),
        "≤ 256 MiB",
        Some(peak <= 256),
    );
    let size = std::fs::metadata(&file).map_or(0, |file| file.len());
    let each = size as f64 / events as f64;
    section.count(
        "bytes for each event",
        &format!("{each:.1}"),
        "≤ 16",
        (!bench.scale.quick).then_some(each <= 16.0),
    );
    reading(bench, &mut section, &file, events, &made);
    seeking(bench, &mut section, &file, events);
    section
}

fn make(programs: &Path, events: u64, stacks: u64, file: &Path) -> Result<Value, String> {
    let program = programs.join("many_events");
    let output = Command::new(&program)
        .args([events.to_string(), stacks.to_string()])
        .arg(file)
        .output()
        .map_err(|error| format!("missing: {}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).map_err(|error| format!("failed: {error}: {said}"))
}

fn open(file: &Path) -> Result<Recording<RecordingFile>, String> {
    let opened = std::fs::File::open(file).and_then(RecordingFile::new);
    Recording::open(opened.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

fn reading(bench: &Bench, section: &mut Section, file: &Path, events: u64, made: &Value) {
    let read = || {
        let recording = open(file)?;
        let mut count = 0;
        let done = recording.events(EventNumber::FIRST, |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        done.map_err(|error| error.to_string())?;
        Ok(count)
    };
    let follow = || {
        let recording = open(file)?;
        let mut replay = Replay::new(recording.meta().profile());
        let files = &recording.definitions().files;
        let done = recording.events(EventNumber::FIRST, |event| {
            replay.apply(event, files);
            ControlFlow::Continue(())
        });
        done.map_err(|error| error.to_string())?;
        Ok(replay)
    };
    let right = |replay: &Replay| {
        let space = replay.space(TaskId::new(1)).ok_or("no address space")?;
        let origins: u64 = space.origins.iter().map(|(_, origin)| origin.event.get()).sum();
        let same = made["maps"].as_str() == Some(&String::from_utf8_lossy(&space.memory.render()))
            && made["origins"].as_u64() == Some(origins);
        if same { Ok(()) } else { Err("another address space".to_owned()) }
    };
    let series = race(
        bench.scale.rounds(5),
        vec![
            Contender::new("Recording::events, each event", events, events, read),
            Contender::checked("and Replay::apply, each event", events, follow, right),
        ],
    );
    let [read, follow] = &series[..] else { unreachable!("two ran") };
    section.times(read, read, &[]);
    section.times(follow, read, &[Target::Within(1e9 / 3e6)]);
}

fn seeking(bench: &Bench, section: &mut Section, file: &Path, events: u64) {
    // Moments just before a snapshot, where most events must be replayed, and random ones.
    let mut number = 0;
    let moment = move || {
        number += 1;
        let anywhere = number * 7_919 * 65_536 / 3 % events;
        if number % 2 == 0 { (anywhere & !0xffff | 0xfff0).min(events) } else { anywhere.max(1) }
    };
    let mut next = moment;
    let seek = || {
        let number = EventNumber::new(next());
        let from = Instant::now();
        let recording = open(file)?;
        let (replay, error) = recording.at(Moment::Event(number), |_, _| ());
        let nanos = from.elapsed().as_nanos() as f64;
        match error {
            None if replay.number() == number => Ok(nanos),
            _ => Err(format!("wrong answer: {}, not {number}", replay.number())),
        }
    };
    let mut next = moment;
    let show = || {
        let target = format!("{}@#{}", file.display(), next());
        let mut command = Command::new(&bench.vmatlas);
        command.args(["show", "--raw", &target]).stdin(Stdio::null());
        let from = Instant::now();
        let output = command.output().map_err(|error| error.to_string())?;
        let nanos = from.elapsed().as_nanos() as f64;
        let rows = output.stdout.iter().filter(|&&byte| byte == b'\n').count();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() && rows > 40 {
            Ok(nanos)
        } else {
            Err(format!("wrong answer: {rows} rows, {said}"))
        }
    };
    let series = race(
        bench.scale.rounds(21),
        vec![
            Contender::timed("Recording::open and ::at, any moment", seek),
            Contender::timed("vmatlas show --raw RECORDING@#N", show),
        ],
    );
    let [seek, show] = &series[..] else { unreachable!("two ran") };
    section.times(seek, seek, &[]);
    section.times(show, seek, &[Target::Within(50e6)]);
}
