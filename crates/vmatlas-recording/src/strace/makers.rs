//! The threads and call stacks (`strace -k`) that made the mappings of a log.

use super::line::Frame;
use crate::definitions::walk;
use crate::{CallEntry, StackId, TaskEntry, TaskId, Tid};
use std::collections::HashMap;

/// The threads and call stacks that the origins of a log refer to by number. Entry 0 of each list
/// means none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Makers {
    /// Threads; one that changed its name has one entry per name.
    pub tasks: Vec<TaskEntry>,
    frames: Vec<Frame>,
    calls: Vec<CallEntry>,
}

impl Default for Makers {
    fn default() -> Makers {
        Makers {
            tasks: vec![TaskEntry::default()],
            frames: vec![Frame::default()],
            calls: vec![CallEntry::default()],
        }
    }
}

impl Makers {
    /// The frames of a stack, the innermost first.
    pub fn frames_of(&self, stack: StackId) -> impl Iterator<Item = &Frame> {
        walk(&self.calls, stack).map_while(|frame| self.frames.get(frame as usize))
    }

    /// The thread with that number; `None` if there is none.
    pub fn task(&self, task: TaskId) -> Option<&TaskEntry> {
        self.tasks.get(task.index()).filter(|_| !task.is_none())
    }

    /// Adds a thread; returns the null entry if the limit is reached.
    pub(crate) fn add_task(&mut self, tid: Tid, pid: u32, comm: &[u8]) -> TaskId {
        TaskId::new(add(&mut self.tasks, TaskEntry { tid, pid, comm: comm.to_vec() }))
    }

    /// Sets the number of the process that had none.
    pub(crate) fn name_process(&mut self, pid: u32) {
        for task in self.tasks.iter_mut().skip(1).filter(|task| task.pid == 0) {
            (task.tid, task.pid) = (Tid::first_of(pid), pid);
        }
    }
}

/// The maximum number of entries of a kind.
const MAX_ENTRIES: usize = 1 << 22;
/// The maximum size of all frames in bytes, as written.
const MAX_BYTES: usize = 1 << 26;
/// The maximum number of frames of a stack; strace itself writes 256.
const MAX_FRAMES: usize = 1024;

fn add<T>(list: &mut Vec<T>, entry: T) -> u32 {
    if list.len() >= MAX_ENTRIES {
        return 0;
    }
    list.push(entry);
    u32::try_from(list.len() - 1).unwrap_or(0)
}

/// Interns stacks: equal ones get the same number.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    frames: HashMap<Box<[u8]>, u32>,
    calls: HashMap<CallEntry, StackId>,
    bytes: usize,
    /// The frames of the current call so far, the innermost first.
    stack: Vec<u32>,
}

impl Interner {
    /// Adds the next outer frame of the stack; ignores text that is not a frame.
    pub(crate) fn frame(&mut self, makers: &mut Makers, text: &[u8]) {
        if self.stack.len() >= MAX_FRAMES {
            return;
        }
        if let Some(known) = self.frames.get(text) {
            self.stack.push(*known);
            return;
        }
        let Some(frame) = Frame::parse(text) else { return };
        if self.bytes + text.len() > MAX_BYTES {
            return;
        }
        let number = add(&mut makers.frames, frame);
        if number != 0 {
            self.bytes += text.len();
            self.frames.insert(text.into(), number);
            self.stack.push(number);
        }
    }

    /// Ends the stack and returns its number.
    pub(crate) fn stack(&mut self, makers: &mut Makers) -> StackId {
        let mut caller = StackId::NONE;
        for frame in std::mem::take(&mut self.stack).into_iter().rev() {
            let entry = CallEntry { caller, frame };
            let next = match self.calls.get(&entry) {
                Some(known) => *known,
                None => StackId::new(add(&mut makers.calls, entry)),
            };
            if next.is_none() {
                return next;
            }
            self.calls.insert(entry, next);
            caller = next;
        }
        caller
    }
}
