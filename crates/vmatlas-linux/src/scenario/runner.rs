//! Runs scenarios one after another.

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

/// Default time limit of a scenario.
const LIMIT: Duration = Duration::from_secs(20);

/// Selects when the rows of the region are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowsAfter {
    /// At each `expect`.
    #[default]
    Expects,
    /// After each operation as well.
    EveryStep,
}

/// The results of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The first address of the region.
    pub base: u64,
    /// The results of each step.
    pub steps: Vec<StepRun>,
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepRun {
    /// The outcome of the operation; an `expect` always succeeds.
    pub outcome: Result<(), Failure>,
    /// The return value of the operation's last system call: for mmap(2), mremap(2), shmat(2) and
    /// brk(2) an address.
    pub returned: u64,
    /// The rows after it, if requested.
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
    /// The number of scenarios that had a directory.
    count: u64,
}

impl Runner {
    /// A runner whose processes execute this program again. Its `main` must begin with
    /// [`serve_if_asked`](super::serve_if_asked).
    ///
    /// # Errors
    /// [`RunnerError::Server`] or [`RunnerError::Directory`].
    pub fn new() -> Result<Runner, RunnerError> {
        Self::with_program("/proc/self/exe", Vec::<OsString>::new())
    }

    /// A runner whose processes execute another program. With these arguments it must call
    /// [`serve_if_asked`](super::serve_if_asked).
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

    /// Sets the time limit of a scenario. The default is 20 seconds.
    ///
    /// # Errors
    /// [`RunnerError::Server`] if the server process cannot be restarted.
    pub fn set_limit(&mut self, limit: Duration) -> Result<(), RunnerError> {
        self.limit = limit.max(Duration::from_millis(1));
        // The old server must end before it could assume that the runner is gone.
        self.server = None;
        self.server =
            Some(Server::start(&self.executable, self.limit, Some(self.directory.path()))?);
        Ok(())
    }

    /// The properties of the machine.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The parent of the directories that contain the scenarios' files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a scenario without checking its conditions and needs. A failing operation does not end
    /// it, and its expectations are not compared.
    ///
    /// # Errors
    /// The reason why it did not complete. The runner can still run other scenarios.
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
        // The reason why the scenario did not complete has precedence.
        let run = run?;
        removed.map(|()| run)
    }

    fn run_program(
        &mut self,
        scenario: &Scenario,
        program: &Program,
        directory: Option<&Path>,
    ) -> Result<Run, RunnerError> {
        // A stack region needs a server with a new stack, which ends afterwards.
        let kept = if scenario.region == Region::Stack { None } else { self.server.take() };
        // The server of a stack region ends with its scenario and keeps the directory.
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

    /// Checks that the scenario completed.
    fn check(
        &self,
        reply: Reply,
        scenario: &Scenario,
        line: impl Fn() -> u32,
    ) -> Result<(), RunnerError> {
        // A killed process leaves its position, so the last step with a record is meant.
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

    /// Parses the log.
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
        // Nothing happened between two readings of rows.
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
