//! Scenarios run one after another.

use super::RunnerError;
use super::compile::{compile, needs_directory};
use super::environment::{self, Environment};
use super::log::{Record, RecordKind, Reply};
use super::program::{BEFORE, Program};
use super::rows::kernel_rows;
use super::server::{Answer, Executable, Server};
use crate::page_size;
use crate::sys::scenario::shared::{LOG_FULL, NO_FORK, NO_REGION};

use std::ffi::OsString;
use std::fs::{create_dir, remove_dir_all};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tempfile::TempDir;
use vmatlas_space::Errno;
use vmatlas_space::scenario::{Failure, KernelRow, Region, Scenario, StepKind};

/// How long a scenario may take unless another limit is set.
const LIMIT: Duration = Duration::from_secs(20);

/// When the rows of the region are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowsAfter {
    /// For each `expect`.
    #[default]
    Expects,
    /// After each operation, too.
    EveryStep,
}

/// What happened in a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The first address of the region.
    pub base: u64,
    /// What happened in each step.
    pub steps: Vec<StepRun>,
}

/// What happened in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepRun {
    /// How the operation ended; an `expect` always succeeds.
    pub outcome: Result<(), Failure>,
    /// What the last system call of the operation returned: for mmap(2), mremap(2), shmat(2) and
    /// brk(2) an address.
    pub returned: u64,
    /// The rows after it, if they were asked for.
    pub rows: Option<Vec<KernelRow>>,
}

/// Runs scenarios on the running kernel.
#[derive(Debug)]
pub struct Runner {
    executable: Executable,
    limit: Duration,
    directory: TempDir,
    server: Option<Server>,
    environment: Environment,
    log: Vec<u8>,
    /// How many scenarios had a directory.
    count: u64,
}

impl Runner {
    /// A runner whose processes execute this program again, whose `main` must begin with
    /// [`serve_if_asked`](super::serve_if_asked).
    ///
    /// # Errors
    /// [`RunnerError::Server`] or [`RunnerError::Directory`].
    pub fn new() -> Result<Runner, RunnerError> {
        Self::with_program("/proc/self/exe", Vec::<OsString>::new())
    }

    /// A runner whose processes execute another program, which must come to
    /// [`serve_if_asked`](super::serve_if_asked) with these arguments.
    ///
    /// # Errors
    /// [`RunnerError::Server`] or [`RunnerError::Directory`].
    pub fn with_program(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Runner, RunnerError> {
        let arguments = arguments.into_iter().map(Into::into).collect();
        let executable = Executable { program: program.into(), arguments };
        let directory = environment::directory().map_err(RunnerError::Directory)?;
        let mut runner = Runner {
            server: Some(Server::start(&executable, LIMIT, Some(directory.path()))?),
            executable,
            limit: LIMIT,
            directory,
            environment: Environment::default(),
            log: Vec::new(),
            count: 0,
        };
        runner.environment = environment::probe(&mut runner)?;
        Ok(runner)
    }

    /// Sets how long a scenario may take: 20 seconds unless this is called.
    ///
    /// # Errors
    /// [`RunnerError::Server`].
    pub fn set_limit(&mut self, limit: Duration) -> Result<(), RunnerError> {
        self.limit = limit.max(Duration::from_millis(1));
        // The old one must be gone before it could think that the runner is.
        self.server = None;
        self.server =
            Some(Server::start(&self.executable, self.limit, Some(self.directory.path()))?);
        Ok(())
    }

    /// What the machine has.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Where the files of scenarios are, each in a directory of its own below.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a scenario, whatever its conditions and needs are. A failing operation does not end
    /// it, and what it expects is not compared.
    ///
    /// # Errors
    /// Why it was not run to its end. The runner can run others nevertheless.
    pub fn run(&mut self, scenario: &Scenario, rows_after: RowsAfter) -> Result<Run, RunnerError> {
        let directory = needs_directory(scenario).then(|| {
            self.count += 1;
            self.directory.path().join(self.count.to_string())
        });
        let program = compile(scenario, rows_after, page_size() as u64, directory.as_deref())?;
        if let Some(directory) = &directory {
            create_dir(directory).map_err(RunnerError::Directory)?;
        }
        let run = self.run_program(scenario, &program, directory.as_deref());
        let removed = directory.map_or(Ok(()), remove_dir_all).map_err(RunnerError::Directory);
        // Why the scenario did not end counts more.
        let run = run?;
        removed.map(|()| run)
    }

    fn run_program(
        &mut self,
        scenario: &Scenario,
        program: &Program,
        directory: Option<&Path>,
    ) -> Result<Run, RunnerError> {
        // A stack that no other process had makes a server of its own, which then ends.
        let kept = if scenario.region == Region::Stack { None } else { self.server.take() };
        // That of a stack ends with its scenario, and leaves the directory alone.
        let all = (scenario.region != Region::Stack).then(|| self.directory.path());
        let kept = kept.map_or_else(|| Server::start(&self.executable, self.limit, all), Ok);
        let mut server = kept?;
        let answer = server.run(program, self.limit).map_err(RunnerError::Server)?;
        let at = server.at();
        let line = || {
            let step = program.ops.get(at as usize).map_or(BEFORE, |op| op.step);
            scenario.steps.get(step as usize).map_or(scenario.line, |step| step.line)
        };
        let reply = match answer {
            Answer::Reply(reply) => reply,
            Answer::Late => {
                let seconds = self.limit.as_secs();
                return Err(RunnerError::Hung { line: line(), seconds });
            }
        };
        let read = server.log(reply.end, &mut self.log);
        if scenario.region != Region::Stack {
            self.server = Some(server);
        }
        read.map_err(RunnerError::Server)?;
        self.check(reply, scenario, line)?;
        self.understand(scenario, directory)
    }

    /// Whether the scenario came to its end.
    fn check(
        &self,
        reply: Reply,
        scenario: &Scenario,
        line: impl Fn() -> u32,
    ) -> Result<(), RunnerError> {
        // Who stopped it has left the position, so the last step with a record is meant.
        let last = || {
            let steps = records(&self.log).map(|(record, _)| record.step as usize);
            let last = steps.filter_map(|step| scenario.steps.get(step)).last();
            last.map_or(scenario.line, |step| step.line)
        };
        match reply.trouble {
            NO_REGION => return Err(RunnerError::NoRegion),
            NO_FORK => return Err(RunnerError::Fork { line: last() }),
            LOG_FULL => return Err(RunnerError::TooLong { line: last() }),
            _ => {}
        }
        match ExitStatus::from_raw(reply.status).signal() {
            Some(signal) => Err(RunnerError::Killed { line: line(), signal }),
            None => Ok(()),
        }
    }

    /// What the log says.
    fn understand(
        &self,
        scenario: &Scenario,
        directory: Option<&Path>,
    ) -> Result<Run, RunnerError> {
        let nothing = StepRun { outcome: Ok(()), returned: 0, rows: None };
        let mut run = Run { base: 0, steps: vec![nothing; scenario.steps.len()] };
        for (record, text) in records(&self.log) {
            let error = |number| io::Error::from_raw_os_error(number as i32);
            if record.step == BEFORE
                && let Err(number) = record.outcome
            {
                return Err(RunnerError::Directory(error(number)));
            }
            let step = run.steps.get_mut(record.step as usize);
            match (record.kind, record.outcome, step) {
                (RecordKind::Base, Ok(base), _) => run.base = base as u64,
                (RecordKind::Outcome, outcome, Some(step)) => {
                    step.outcome = outcome.map(|_| ()).map_err(failure);
                    step.returned = outcome.unwrap_or_default() as u64;
                }
                (RecordKind::Rows, Ok(_), Some(step)) => {
                    let known = step.rows.get_or_insert_default();
                    for row in kernel_rows(text, scenario.region, run.base, directory) {
                        known.push(row.map_err(|error| {
                            let line = scenario.steps[record.step as usize].line;
                            let source = io::Error::new(io::ErrorKind::InvalidData, error);
                            RunnerError::Rows { line, source }
                        })?);
                    }
                }
                (RecordKind::Rows, Err(number), Some(_)) => {
                    let line = scenario.steps[record.step as usize].line;
                    return Err(RunnerError::Rows { line, source: error(number) });
                }
                _ => {}
            }
        }
        // Between two readings nothing has happened.
        for index in 1..run.steps.len() {
            let expect = matches!(scenario.steps[index].kind, StepKind::Expect(_));
            if expect && run.steps[index].rows.is_none() {
                run.steps[index].rows = run.steps[index - 1].rows.clone();
            }
        }
        Ok(run)
    }
}

fn records(mut log: &[u8]) -> impl Iterator<Item = (Record, &[u8])> {
    std::iter::from_fn(move || {
        let (record, text, rest) = Record::decode(log)?;
        log = rest;
        Some((record, text))
    })
}

fn failure(number: i64) -> Failure {
    match number {
        RecordKind::SEGV => Failure::Segv,
        RecordKind::BUS => Failure::Bus,
        errno => Failure::Errno(Errno(errno as i32)),
    }
}
