//! The whole life of an address, by a recording.

use crate::atlas::Atlas;
use crate::error::{Error, ErrorKind, Result};
use crate::recorded::{Recorded, Told};
use crate::stacks::Stacks;
use vmatlas_linux::symbols::SymbolFrame;
use vmatlas_recording::{LifeStep, RecordingError, TaskEntry, What};

/// The lives of some addresses.
pub struct Lives<'a> {
    recorded: &'a Recorded,
    stacks: Stacks,
    lives: Vec<Life>,
}

/// What happened to an address, in order.
#[derive(Debug)]
#[non_exhaustive]
pub struct Life {
    /// The address.
    pub address: u64,
    /// Each event that changed what is mapped there.
    pub steps: Vec<LifeStep>,
    /// Where events cannot be read: what follows is missing.
    pub error: Option<RecordingError>,
}

impl Atlas {
    /// What happened to addresses of the process up to this moment.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] for anything but a recording.
    pub fn lives(&self, addresses: &[u64]) -> Result<Lives<'_>> {
        let recorded = self.recorded();
        let Some((recorded, Told::Recording { recording, task, .. })) =
            recorded.map(|recorded| (recorded, &recorded.told))
        else {
            let why = "the life of an address is told of recordings, not of logs of strace";
            return Err(Error::new(ErrorKind::Lacks, format!("{}: {why}", self.name())));
        };
        let life = |&address: &u64| {
            let (steps, error) = recording.life(*task, address, recorded.event());
            Life { address, steps, error }
        };
        let lives: Vec<Life> = addresses.iter().map(life).collect();
        let steps = lives.iter().flat_map(|life| &life.steps);
        let stacks = steps.map(|step| (step.event.stack, step.event.task));
        let stacks = Stacks::of_tasks(recording, stacks, self.symbols().clone());
        Ok(Lives { recorded, stacks, lives })
    }
}

impl<'a> Lives<'a> {
    /// The process.
    pub fn recorded(&self) -> &'a Recorded {
        self.recorded
    }

    /// The life of each address, in the order in which they were asked for.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Life> {
        self.lives.iter()
    }

    /// The thread of a step.
    pub fn task(&self, step: &LifeStep) -> Option<&'a TaskEntry> {
        self.recorded.tasks().get(step.event.task.index())
    }

    /// The call stack of a step, innermost first.
    pub fn frames(&self, step: &LifeStep) -> &[SymbolFrame] {
        self.stacks.of_task(self.recorded.tasks(), step.event.stack, step.event.task)
    }
}

/// The system call of a step.
pub fn syscall(step: &LifeStep) -> Option<&'static str> {
    match &step.event.what {
        What::Call { call, .. } => Some(call.kind.name()),
        What::Exec { .. } => Some("execve"),
        What::Clone { .. } => Some("clone"),
        What::Exit { .. } => Some("exit"),
        _ => None,
    }
}
