//! The life of an address in a recording.

use crate::atlas::Atlas;
use crate::error::{Error, ErrorKind, Result};
use crate::recorded::{Recorded, RecordedIn};
use crate::stacks::Stacks;
use vmatlas_linux::symbols::SymbolFrame;
use vmatlas_recording::{LifeStep, RecordingError, TaskEntry, What};

/// The lives of some addresses.
pub struct Lives<'a> {
    recorded: &'a Recorded,
    stacks: Stacks,
    lives: Vec<Life>,
}

/// The events that concern an address, in order.
#[derive(Debug)]
#[non_exhaustive]
pub struct Life {
    /// The address.
    pub address: u64,
    /// Each event that changed the mapping at the address.
    pub steps: Vec<LifeStep>,
    /// The error at which reading events stopped; later steps are missing.
    pub error: Option<RecordingError>,
}

impl Atlas {
    /// The events that changed the mappings at some addresses, up to the moment of this atlas.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] for any other source than a recording.
    pub fn lives(&self, addresses: &[u64]) -> Result<Lives<'_>> {
        let recorded = self.recorded();
        let Some((recorded, RecordedIn::Recording { recording, task, .. })) =
            recorded.map(|recorded| (recorded, &recorded.recorded_in))
        else {
            let why = "a log of strace has no life of an address; a recording has";
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
    /// The recorded process.
    pub fn recorded(&self) -> &'a Recorded {
        self.recorded
    }

    /// The life of each address, in the order of the request.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Life> {
        self.lives.iter()
    }

    /// The thread that caused a step.
    pub fn task(&self, step: &LifeStep) -> Option<&'a TaskEntry> {
        self.recorded.tasks().get(step.event.task.index())
    }

    /// The call stack of a step, innermost first.
    pub fn frames(&self, step: &LifeStep) -> &[SymbolFrame] {
        self.stacks.of_task(self.recorded.tasks(), step.event.stack, step.event.task)
    }
}

/// The name of the system call that caused a step.
pub fn syscall(step: &LifeStep) -> Option<&'static str> {
    match &step.event.what {
        What::Call { call, .. } => Some(call.kind.name()),
        What::Exec { .. } => Some("execve"),
        What::Clone { .. } => Some("clone"),
        What::Exit { .. } => Some("exit"),
        _ => None,
    }
}
