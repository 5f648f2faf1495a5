//! Threads and their shared state.

use super::descriptors::Descriptors;
use super::files::Mapped;
use super::image::{Exec, Lookup, Placed};
use super::line::Begun;
use super::missing::{Gaps, MissingFact};
use super::value::Value;
use crate::{Origin, TaskId, Tid};
use std::cell::RefCell;
use std::rc::Rc;
use vmatlas_space::{Faults, KernelProfile};

/// A thread, or a process with one.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The number of its process.
    pub(crate) process: u32,
    /// The position among the processes of the log.
    pub(crate) order: u64,
    pub(crate) space: Rc<RefCell<TaskSpace>>,
    pub(crate) descriptors: Rc<RefCell<Descriptors>>,
    pub(crate) directory: Rc<RefCell<Option<Vec<u8>>>>,
    pub(crate) begun: Option<Pending>,
    /// Whether it appeared before the log showed its parent.
    pub(crate) orphan: bool,
    /// Whether it appeared without a call that made it.
    pub(crate) unannounced: bool,
    /// Whether the log has no line of it.
    pub(crate) silent: Silent,
    /// Whether its parent waits until it leaves the parent's address space.
    pub(crate) is_awaited: bool,
    /// The name: that of the program, or the one that the thread set.
    pub(crate) comm: Vec<u8>,
    /// The entry among the makers; 0 if it has none yet.
    pub(crate) entry: TaskId,
}

/// Whether the log has lines of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    No,
    /// It has none so far.
    SoFar,
    /// It has none, and the lines of the log name no task, as without `strace -f`.
    NotFollowed,
}

/// A call that has begun but not returned.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    /// A call that makes a child.
    Clone(CloneFlags),
    /// munmap, which the kernel may complete long before the log shows its return.
    Unmap { address: u64, length: u64, done: bool },
}

/// An address space and the facts known about it.
#[derive(Clone, Debug)]
pub(crate) struct TaskSpace {
    pub(crate) map: crate::RecordedSpace,
    /// Origin of mappings that no logged call made.
    pub(crate) begun: Origin,
    pub(crate) exec: Exec,
    /// The number of its execution in the log.
    pub(crate) id: u64,
    pub(crate) program: Vec<u8>,
    /// Whether that path is relative to an unknown directory.
    pub(crate) relative: bool,
    pub(crate) gaps: Gaps,
    /// The mapped files: renames still apply to them after they are closed.
    pub(crate) mapped: Mapped,
    /// The mappings located since the last query.
    pub(crate) placed: Vec<Placed>,
}

/// The parts that clone(2) shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CloneFlags {
    pub(crate) memory: bool,
    pub(crate) files: bool,
    pub(crate) directory: bool,
    pub(crate) thread: bool,
    /// The parent waits until the child leaves the address space (`CLONE_VFORK`).
    pub(crate) waits: bool,
}

impl CloneFlags {
    /// The flags of a call that makes a child; `None` for other calls.
    pub(crate) fn of(name: &str, args: &[u8]) -> Option<CloneFlags> {
        match name {
            "fork" => return Some(CloneFlags::default()),
            "vfork" => {
                return Some(CloneFlags { memory: true, waits: true, ..CloneFlags::default() });
            }
            "clone" | "clone2" | "clone3" => {}
            _ => return None,
        }
        let flags = Value(args).field("flags").unwrap_or(Value(args));
        Some(CloneFlags {
            memory: flags.has("CLONE_VM"),
            files: flags.has("CLONE_FILES"),
            directory: flags.has("CLONE_FS"),
            thread: flags.has("CLONE_THREAD"),
            waits: flags.has("CLONE_VFORK"),
        })
    }
}

impl Pending {
    /// The pending call, if its effects can precede its return.
    pub(crate) fn of(name: &str, args: &[u8]) -> Option<Pending> {
        if name == "munmap" {
            let begun = Begun { name, args };
            let address = begun.arg(0)?.number()?;
            let length = begun.arg(1)?.number()?;
            return Some(Pending::Unmap { address, length, done: false });
        }
        CloneFlags::of(name, args).map(Pending::Clone)
    }
}

impl TaskSpace {
    /// An empty address space, of an execution or (0) of a process from before the log.
    pub(crate) fn new(profile: &KernelProfile, id: u64, begun: Origin) -> TaskSpace {
        let mut map = crate::RecordedSpace::empty(profile);
        map.memory.set_faults(Faults::Unreported);
        TaskSpace {
            map,
            begun,
            exec: Exec::default(),
            id,
            program: Vec::new(),
            relative: false,
            gaps: Gaps::default(),
            mapped: Mapped::default(),
            placed: Vec::new(),
        }
    }

    /// Collects the facts of the execution of its program.
    pub(crate) fn execute(&mut self, lookup: &mut dyn Lookup) -> Exec {
        Exec::begin(&self.program, lookup, &mut self.map, &mut self.gaps, self.begun)
    }

    /// The facts that are missing now.
    pub(crate) fn missing(&self) -> Vec<MissingFact> {
        let mut gaps = self.gaps.clone();
        self.map.memory.for_each_row(|row| {
            let is_file = !row.name.is_empty() && !row.name.starts_with(b"[") && row.name != b"?";
            if is_file && row.inode == 0 {
                gaps.push(MissingFact::Inode { name: row.name.to_vec() });
            }
        });
        gaps.list()
    }

    pub(crate) fn fork(&self) -> TaskSpace {
        let begun = Origin { inherited: true, ..self.begun };
        TaskSpace { map: self.map.fork(), begun, ..self.clone() }
    }
}

impl Task {
    /// A task without known state.
    pub(crate) fn new(pid: u32, order: u64, space: TaskSpace) -> Task {
        Task {
            process: pid,
            order,
            space: Rc::new(RefCell::new(space)),
            descriptors: Rc::default(),
            directory: Rc::default(),
            begun: None,
            orphan: false,
            unannounced: false,
            silent: Silent::No,
            is_awaited: false,
            comm: Vec::new(),
            entry: TaskId::NONE,
        }
    }

    /// A child of this task.
    pub(crate) fn child(&self, tid: Tid, order: u64, flags: CloneFlags) -> Task {
        fn shared<T: Clone>(value: &Rc<RefCell<T>>, share: bool) -> Rc<RefCell<T>> {
            if share { value.clone() } else { Rc::new(RefCell::new(value.borrow().clone())) }
        }
        let space = if flags.memory {
            self.space.clone()
        } else {
            Rc::new(RefCell::new(self.space.borrow().fork()))
        };
        Task {
            process: if flags.thread { self.process } else { tid.get() },
            order: if flags.thread { self.order } else { order },
            space,
            descriptors: shared(&self.descriptors, flags.files),
            directory: shared(&self.directory, flags.directory),
            begun: None,
            orphan: false,
            unannounced: false,
            silent: Silent::No,
            is_awaited: flags.waits,
            comm: self.comm.clone(),
            entry: TaskId::NONE,
        }
    }

    /// Sets the name.
    pub(crate) fn rename(&mut self, comm: &[u8]) {
        // The kernel keeps 15 bytes.
        self.comm = comm[..comm.len().min(15)].to_vec();
        self.entry = TaskId::NONE;
    }
}
