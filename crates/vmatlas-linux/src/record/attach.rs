//! Recording by perf events: of a process that runs, or of a program that is launched.

use super::follow::{Follower, TRIES};
use super::perf::{self, Config, Faults, Perf, PerfEvent};
use super::recorder::{Recorder, clock_ns};
use super::sink::Sink as _;
use super::{News, Options, RecordError, Report, meta, open, words};
use crate::process::{Process, ProcessId};
use crate::snapshot::Source;
use crate::sys::launch::prepare;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;
use vmatlas_maps::Maps;

/// How long events are waited for: progress is told and signals are looked at as often.
const WAIT: Duration = Duration::from_millis(50);

/// Records a process that runs.
pub(super) fn attach(pid: u32, options: Options) -> Result<Report, RecordError> {
    let process = Process::open(Path::new("/proc"), ProcessId { pid, tid: None })?;
    // Refused for a process that may not be read: then nothing has to be made.
    process.rows(Source::Maps)?;
    let mut perf = Perf::attach(pid, &config(&options)).map_err(refused)?;
    let output = open(&options.output)?;
    let meta = meta("perf", vec![pid.to_string().into_bytes()]);
    let mut recorder = Recorder::new(&meta, output, options.limits, options.news);
    recorder.obey(options.control.as_ref());
    recorder.is_attached();
    recorder.pages = options.pages;
    recorder.tell(&News::Begun(&how(&perf, "a running program cannot be given a filter")));
    let mut follower = Follower::new(recorder, false);
    let (rows, began_ns, events) = quiet_rows(&process, &mut perf)?;
    let threads = perf.report().threads.clone();
    follower.begin(pid, &threads, &rows)?;
    for event in events {
        let old = matches!(&event, PerfEvent::Call(call) if call.time_ns <= began_ns);
        if !old {
            follower.take(event);
        }
    }
    Ok(run(perf, follower, None, options.audit).0)
}

/// Launches a program and records it from its start.
pub(super) fn launch(mut command: Command, options: Options) -> Result<Report, RecordError> {
    perf::allowed().map_err(refused)?;
    let output = open(&options.output)?;
    let meta = meta("perf", words(&command));
    let config = config(&options);
    let program = command.get_program().to_owned();
    let failed = |source| super::LaunchError::Fork(source);
    // Before the program runs, as that is when its time begins.
    let mut recorder = Recorder::new(&meta, output, options.limits, options.news);
    recorder.obey(options.control.as_ref());
    recorder.pages = options.pages;
    let rendezvous = prepare(&mut command, Vec::new()).map_err(|errno| failed(errno.into()))?;
    std::thread::scope(|scope| {
        // It waits in the child until it may go on.
        let spawned = std::thread::Builder::new()
            .name("launch".to_owned())
            .spawn_scoped(scope, || command.spawn())
            .map_err(failed)?;
        let attached = rendezvous.pid().map(|pid| Perf::attach(pid, &config));
        if matches!(attached, Some(Ok(_))) {
            rendezvous.go();
        }
        // Else the child ends, as nobody is there to let it go on.
        drop(rendezvous);
        let child = spawned.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let perf = match attached {
            Some(attached) => attached.map_err(refused)?,
            None => return Err(failed(std::io::ErrorKind::Other.into()).into()),
        };
        let child = child.map_err(|source| {
            let _ = std::fs::remove_file(&options.output);
            super::LaunchError::of(&program, source)
        })?;
        recorder.tell(&News::Begun(&how(&perf, "as asked for")));
        let (report, status) = run(perf, Follower::new(recorder, true), Some(child), options.audit);
        Ok(Report { status, ..report })
    })
}

fn config(options: &Options) -> Config {
    let tree_writes = options.audit;
    let faults = options.pages.then_some(Faults { period: 1, stacks: true });
    Config { stack_bytes: options.stack_bytes, tree_writes, faults, ..Config::default() }
}

fn refused(error: perf::Error) -> RecordError {
    RecordError::Perf(error.to_string())
}

/// Which backend and why, and what it cannot do.
fn how(perf: &Perf, why: &str) -> String {
    let report = perf.report();
    let mut text = format!("perf events: {why}; {} threads", report.threads.len());
    for without in &report.without {
        text.push_str("; without ");
        text.push_str(without);
    }
    text
}

/// All rows of a process, the time when they were read, and the events up to then. Tries to find
/// a moment at which nothing changes.
fn quiet_rows(
    process: &Process,
    perf: &mut Perf,
) -> Result<(Maps, u64, Vec<PerfEvent>), RecordError> {
    let mut events = Vec::new();
    for turn in 1.. {
        let began = clock_ns();
        let rows = process.rows(Source::Maps)?.maps;
        let ended = clock_ns();
        while clock_ns() < ended + 30_000_000 {
            perf.poll(Duration::from_millis(10), &mut |event| events.push(event));
        }
        let during = |event: &PerfEvent| matches!(event, PerfEvent::Call(call) if (began..=ended).contains(&call.time_ns));
        if turn >= TRIES || !events.iter().any(during) {
            return Ok((rows, began, events));
        }
    }
    unreachable!("the loop has no end of its own")
}

/// Records until there is nothing more.
fn run(
    mut perf: Perf,
    mut follower: Follower,
    mut child: Option<Child>,
    audits: bool,
) -> (Report, Option<ExitStatus>) {
    let mut status = None;
    loop {
        let known = clock_ns().saturating_sub(perf::LAG_NS);
        perf.poll(WAIT, &mut |event| follower.take(event));
        follower.check(known);
        if status.is_none()
            && let Some(child) = &mut child
        {
            status = child.try_wait().ok().flatten();
        }
        let over = perf.threads() == 0;
        if !follower.recorder.tick() || over {
            break;
        }
    }
    follower.look();
    perf.finish(&mut |event| follower.take(event));
    follower.check(u64::MAX);
    follower.recorder.truth.stacks_lost = follower.stacks_lost;
    // The program may run on without us; its status is waited for all the same.
    if status.is_none()
        && let Some(child) = &mut child
    {
        status = child.wait().ok();
    }
    let audit = audits.then(|| {
        follower.audit.end();
        std::mem::take(&mut follower.audit)
    });
    (Report { audit, ..follower.recorder.finish() }, status)
}
