//! The recorder's state of a live address space besides the model.

use super::arch::TASK_SIZE;
use super::unwind::Modules;
use crate::error::Error;
use crate::file_server::{FileServer, Handle};
use crate::process::{Process, ProcessId};
use crate::query::{PointQuery, Which};
use crate::snapshot::{Empty, Source};
use crate::sys::pagemap_scan::present;
use std::collections::{BTreeSet, HashSet};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vmatlas_maps::{AddressRange, Mapping, Maps};
use vmatlas_recording::Tid;

/// Maximum number of code places remembered.
const MAX_PLACES: usize = 1 << 16;

/// Time limit for memory that a concurrent call may map to a file system which does not answer.
const LIMIT: Duration = Duration::from_secs(2);
/// Maximum number of servers that are left behind.
const MAX_LEFT: u32 = 4;

/// The process that reads memory which may block its reader for ever.
#[derive(Debug)]
enum Server {
    /// It was not needed yet.
    None,
    Running(Arc<FileServer>, Handle),
    /// It did not answer and was left behind, or could not be started.
    Failed,
}

/// A live address space.
#[derive(Debug)]
pub(crate) struct LiveSpace {
    process: Arc<Process>,
    /// `None` if it is gone.
    pub(crate) query: Option<PointQuery<Arc<Process>>>,
    pub(crate) modules: Modules,
    /// `/proc/PID/mem`.
    memory: Option<Handle>,
    server: Server,
    /// The number of tasks that use it.
    pub(crate) tasks: u32,
    /// The number of its tasks that are in a call which may change it.
    pub(crate) calls: u32,
    /// Addresses on stacks in JIT-compiled code.
    pub(crate) jit: BTreeSet<u64>,
    /// Places on stacks in files: file and offset.
    pub(crate) places: HashSet<(u32, u64)>,
}

/// The way in which memory is read.
#[derive(Debug, Default)]
pub(crate) struct MemoryAccess {
    /// Whether tasks run on while their memory is read.
    pub(crate) beside: bool,
    /// The number of servers that were left behind.
    left: u32,
}

impl MemoryAccess {
    /// The memory of an address space, to be read now. If a mapping may change meanwhile, it may
    /// become one of a file system that does not answer, so a server reads it.
    pub(crate) fn memory(&mut self, space: &mut LiveSpace) -> Option<Handle> {
        if space.calls == 0 && !self.beside {
            return space.memory.clone();
        }
        if let (Server::None, Some(Handle::Own(file))) = (&space.server, &space.memory)
            && self.left < MAX_LEFT
        {
            let tid = space.process.id().pid;
            space.server = match FileServer::start(&[file.as_fd()], None, LIMIT) {
                Ok(server) => Server::Running(server.clone(), server.memory(tid, file)),
                Err(_) => Server::Failed,
            };
        }
        match &space.server {
            Server::Running(server, memory) if server.answers() => return Some(memory.clone()),
            Server::Running(..) => self.left += 1,
            Server::None | Server::Failed => return None,
        }
        space.server = Server::Failed;
        None
    }
}

impl LiveSpace {
    /// Opens the address space of a stopped task.
    pub(crate) fn open(tid: Tid, modules: Modules) -> Result<LiveSpace, Error> {
        // /proc also has each thread under its own id.
        let id = ProcessId { pid: tid.get(), tid: None };
        let process = Arc::new(Process::open(Path::new("/proc"), id)?);
        let query = Some(PointQuery::open(process.clone())?);
        let memory = process.open_file("mem").ok().map(Handle::from);
        Ok(LiveSpace { query, memory, ..LiveSpace::gone(process, modules) })
    }

    /// An address space that cannot be read.
    fn gone(process: Arc<Process>, modules: Modules) -> LiveSpace {
        LiveSpace {
            process,
            query: None,
            modules,
            memory: None,
            server: Server::None,
            tasks: 1,
            calls: 0,
            jit: BTreeSet::new(),
            places: HashSet::new(),
        }
    }

    /// Opens the address space of a task. If the task ended before it could be read, the files are
    /// looked up by path in our own file systems.
    pub(crate) fn open_or_gone(tid: Tid, modules: Modules) -> Option<LiveSpace> {
        if let Ok(space) = LiveSpace::open(tid, modules.clone()) {
            return Some(space);
        }
        let process = Arc::new(Process::this(Path::new("/proc")).ok()?);
        Some(LiveSpace::gone(process, modules))
    }

    pub(crate) fn process(&self) -> Arc<Process> {
        self.process.clone()
    }

    /// Notes that a stack contains this place.
    pub(crate) fn note_place(&mut self, file: u32, offset: u64) {
        if self.places.len() < MAX_PLACES {
            self.places.insert((file, offset));
        }
    }

    /// The mapping that covers an address, otherwise the next above it.
    pub(crate) fn find_or_next(&mut self, address: u64) -> Option<Mapping<'_>> {
        self.query.as_mut()?.find(address, Which::CoveringOrNext).ok().flatten()
    }

    /// The mapping that covers an address.
    pub(crate) fn find(&mut self, address: u64) -> Option<Mapping<'_>> {
        self.query.as_mut()?.find(address, Which::Covering).ok().flatten()
    }

    /// All rows that overlap `range`, sorted; `None` if there are more than `most`.
    pub(crate) fn rows(&mut self, range: AddressRange, most: usize) -> Option<Maps> {
        let mut rows = Maps::default();
        let mut from = range.start;
        while let Some(row) = self.find_or_next(from) {
            if row.range.start >= range.end || row.range.end <= from {
                break;
            }
            if rows.len() == most {
                return None;
            }
            from = row.range.end;
            rows.push(&escaped(&row, &mut Vec::new()));
        }
        Some(rows)
    }

    /// The resident pages; `None` if the kernel does not report them (before 6.7).
    pub(crate) fn resident(&self) -> Option<Vec<AddressRange>> {
        self.query.as_ref()?;
        let pagemap = self.process.open_file("pagemap").ok()?;
        present(pagemap, TASK_SIZE).ok()
    }

    /// All of its rows.
    pub(crate) fn all_rows(&self) -> Result<Maps, Error> {
        let vanished = || Error::Vanished { process: self.process.id().to_string() };
        if self.query.is_none() {
            return Err(vanished());
        }
        let snapshot = self.process.rows(Source::Maps)?;
        match snapshot.empty {
            // Other tasks may still use the address space.
            Some(Empty::Zombie) => Err(vanished()),
            _ => Ok(snapshot.maps),
        }
    }

    /// Whether its last task has ended or executed another program.
    pub(crate) fn is_gone(&self) -> bool {
        self.query.as_ref().is_none_or(PointQuery::is_gone)
    }

    /// Whether it is read through this task.
    pub(crate) fn is_read_through(&self, tid: Tid) -> bool {
        self.query.is_some() && self.process.id().pid == tid.get()
    }

    /// Reads it through another task that uses it, because the current one ends.
    pub(crate) fn read_through(&mut self, tid: Tid) {
        if let Ok(other) = LiveSpace::open(tid, Modules::default()) {
            (self.process, self.query) = (other.process, other.query);
        }
    }
}

/// A row with its name escaped as in maps; the ioctl returns unescaped line feeds.
pub(crate) fn escaped<'a>(row: &Mapping<'a>, buffer: &'a mut Vec<u8>) -> Mapping<'a> {
    if !row.name.contains(&b'\n') {
        return *row;
    }
    let parts: Vec<&[u8]> = row.name.split(|&b| b == b'\n').collect();
    *buffer = parts.join(br"\012".as_slice());
    Mapping { name: buffer, ..*row }
}
