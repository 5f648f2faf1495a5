//! Records a running process or a launched program by perf events.

use super::call_source::{CallSource, Ended};
use super::follow::{Follower, TRIES};
use super::perf::{self, Config, Faults, Perf, PerfEvent};
use super::recorder::{Recorder, clock_ns};
use super::sink::{At, Sink as _};
use super::{News, Options, RecordError, words};
use crate::process::{Process, ProcessId};
use crate::snapshot::Source;
use crate::sys::launch::prepare;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;
use vmatlas_maps::Maps;

/// Maximum wait for events; progress and signals are handled at this interval.
const WAIT: Duration = Duration::from_millis(50);

/// A running process.
pub(super) struct Running {
    pid: u32,
    process: Process,
    rows: Maps,
    config: Config,
    audits: bool,
}

impl Running {
    /// Reads a process that is to be recorded. If it is not readable, no file is created.
    pub(super) fn read(pid: u32, options: &Options) -> Result<Running, RecordError> {
        let process = Process::open(Path::new("/proc"), ProcessId { pid, tid: None })?;
        perf::allowed().map_err(refused)?;
        let rows = process.rows(Source::Maps)?.maps;
        Ok(Running { pid, process, rows, config: config(options), audits: options.audit })
    }
}

impl CallSource for Running {
    const NAME: &'static str = "perf";

    fn subject(&self) -> Vec<Vec<u8>> {
        vec![self.pid.to_string().into_bytes()]
    }

    fn run(self, recorder: &mut Recorder) -> Result<Ended, RecordError> {
        let Running { pid, process, rows, config, audits } = self;
        recorder.mark_attached();
        // The file has the rows before the kernel is asked for events, which may take long.
        recorder.attached(pid, &rows)?;
        let mut perf = Perf::attach(pid, &config).map_err(refused)?;
        let how = how(&perf, "a running program cannot be given a filter");
        recorder.notify(&News::Begun(&how));
        let mut follower = Follower::new(recorder, false);
        let (rows, began_ns, events) = quiet_rows(&process, &mut perf)?;
        let threads = perf.report().threads.clone();
        follower.recorder.events_begin(At::Past(began_ns), pid, &threads, &rows);
        for event in events {
            let old = matches!(&event, PerfEvent::Call(call) if call.time_ns <= began_ns);
            if !old {
                follower.take(event);
            }
        }
        Ok(run(perf, follower, None, audits))
    }
}

/// A launched program, recorded from its start.
pub(super) struct Launched {
    command: Command,
    config: Config,
    audits: bool,
}

impl Launched {
    pub(super) fn prepare(command: Command, options: &Options) -> Result<Launched, RecordError> {
        perf::allowed().map_err(refused)?;
        Ok(Launched { command, config: config(options), audits: options.audit })
    }
}

impl CallSource for Launched {
    const NAME: &'static str = "perf";

    fn subject(&self) -> Vec<Vec<u8>> {
        words(&self.command)
    }

    fn run(self, recorder: &mut Recorder) -> Result<Ended, RecordError> {
        let Launched { mut command, config, audits } = self;
        let program = command.get_program().to_owned();
        let failed = |source| super::LaunchError::Fork(source);
        let rendezvous = prepare(&mut command, Vec::new()).map_err(|errno| failed(errno.into()))?;
        std::thread::scope(|scope| {
            // Spawning blocks while the child waits for permission to continue.
            let spawned = std::thread::Builder::new()
                .name("launch".to_owned())
                .spawn_scoped(scope, || command.spawn())
                .map_err(failed)?;
            let attached = rendezvous.pid().map(|pid| Perf::attach(pid, &config));
            if matches!(attached, Some(Ok(_))) {
                rendezvous.go();
            }
            // Otherwise the child ends, because it gets no permission to continue.
            drop(rendezvous);
            let child = spawned.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let perf = match attached {
                Some(attached) => attached.map_err(refused)?,
                None => return Err(failed(std::io::ErrorKind::Other.into()).into()),
            };
            let child = child.map_err(|source| super::LaunchError::of(&program, source))?;
            recorder.runs(child.id());
            recorder.notify(&News::Begun(&how(&perf, "as requested")));
            Ok(run(perf, Follower::new(recorder, true), Some(child), audits))
        })
    }
}

fn config(options: &Options) -> Config {
    let tree_writes = options.audit;
    let faults = options.pages.then_some(Faults { period: 1, stacks: true });
    Config { stack_bytes: options.stack_bytes, tree_writes, faults, ..Config::default() }
}

fn refused(error: perf::Error) -> RecordError {
    RecordError::Perf(error.to_string())
}

/// The backend, the reason for it, and its limitations.
fn how(perf: &Perf, why: &str) -> String {
    let report = perf.report();
    let mut text = format!("perf events: {why}; {} threads", report.threads.len());
    for without in &report.without {
        text.push_str("; without ");
        text.push_str(without);
    }
    text
}

/// All rows of a process, the time of reading, and the events up to then. Tries to find a moment
/// without changes.
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

/// Records until there are no more events.
fn run(
    mut perf: Perf,
    mut follower: Follower<'_>,
    mut child: Option<Child>,
    audits: bool,
) -> Ended {
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
    follower.recorder.truth.lost_of_all = perf.records_all();
    perf.finish(&mut |event| follower.take(event));
    follower.check(u64::MAX);
    follower.recorder.truth.stacks_lost = follower.stacks_lost;
    // The program may run on without us; we still wait for its status.
    if status.is_none()
        && let Some(child) = &mut child
    {
        status = child.wait().ok();
    }
    let audit = audits.then(|| {
        follower.audit.end();
        std::mem::take(&mut follower.audit)
    });
    Ended { status, audit, notices: Vec::new() }
}
