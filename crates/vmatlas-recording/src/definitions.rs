//! The entries that events refer to by number: files, tasks, stacks, JIT symbols.

use super::id::{StackId, TaskId, Tid};
use vmatlas_maps::Device;
use vmatlas_space::bytes::{Put, Take};

/// The entries that events refer to. Entry 0 of each list means none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Definitions {
    /// Mapped files and names.
    pub files: Vec<FileEntry>,
    /// Threads; one that changed its name has one entry per name.
    pub tasks: Vec<TaskEntry>,
    /// Code locations.
    pub frames: Vec<FrameEntry>,
    /// Stack entries, each a frame and its caller; the innermost entry identifies a stack.
    pub calls: Vec<CallEntry>,
    /// JIT symbols, as the runtime reported them.
    pub symbols: Vec<SymbolEntry>,
    /// Symbols of locations in files that cannot be resolved later, such as deleted files.
    pub places: Vec<PlaceEntry>,
}

/// The file and name that a row shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileEntry {
    /// The device; `00:00` without a file.
    pub device: Device,
    /// The inode; 0 without a file.
    pub inode: u64,
    /// The name, with line feeds escaped as in maps.
    pub name: Vec<u8>,
    /// The build id of an ELF file; empty if it has none or it was not read.
    pub build_id: Vec<u8>,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskEntry {
    /// The thread's id.
    pub tid: Tid,
    /// The number of its process.
    pub pid: u32,
    /// The name (`comm`), at most 15 bytes.
    pub comm: Vec<u8>,
}

/// A code location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FrameEntry {
    /// The file, an index into [`files`](Definitions::files); 0 for memory without a file.
    pub file: u32,
    /// The offset in the file, in bytes; without a file, the address. For callers it lies within
    /// the call instruction.
    pub offset: u64,
    /// Whether the frame was guessed from words on the stack.
    pub guessed: bool,
}

impl FrameEntry {
    /// The outermost frame of a stack that goes on: its other callers were not recorded. They are
    /// more than the recorder keeps, lie beyond the bytes that it copied, or their code was gone.
    pub const CUT: FrameEntry = FrameEntry { file: 0, offset: 0, guessed: true };
}

/// A frame on a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallEntry {
    /// The entry of its caller; 0 for the outermost frame.
    pub caller: StackId,
    /// The frame.
    pub frame: u32,
}

/// A JIT-compiled function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymbolEntry {
    /// The number of the process.
    pub pid: u32,
    /// The start address.
    pub address: u64,
    /// The size in bytes.
    pub size: u64,
    /// The name.
    pub name: Vec<u8>,
}

/// The symbol of a location in a file, resolved by the recorder. A location in inlined functions
/// has several entries, the innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceEntry {
    /// The file, an index into [`files`](Definitions::files).
    pub file: u32,
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The function's name.
    pub function: Vec<u8>,
    /// The offset from the start of the function, in bytes.
    pub function_offset: u64,
    /// `FILE:LINE`; empty if it is not known.
    pub source: Vec<u8>,
    /// Whether the function is inlined into the next.
    pub inlined: bool,
}

/// The maximum number of entries of a kind, which recordings of days stay below.
const MAX_ENTRIES: usize = 1 << 26;

const FILE: u8 = 1;
const TASK: u8 = 2;
const FRAME: u8 = 3;
const CALL: u8 = 4;
const SYMBOL: u8 = 5;
const PLACE: u8 = 6;

impl Default for Definitions {
    fn default() -> Definitions {
        Definitions {
            files: vec![FileEntry::default()],
            tasks: vec![TaskEntry::default()],
            frames: vec![FrameEntry::default()],
            calls: vec![CallEntry::default()],
            symbols: vec![SymbolEntry::default()],
            places: vec![PlaceEntry::default()],
        }
    }
}

impl Definitions {
    /// The frames of a stack, the innermost first.
    pub fn frames_of(&self, stack: StackId) -> impl Iterator<Item = &FrameEntry> {
        walk(&self.calls, stack).map_while(|frame| self.frames.get(frame as usize))
    }

    /// The thread with that number; `None` if there is none.
    pub fn task(&self, task: TaskId) -> Option<&TaskEntry> {
        self.tasks.get(task.index()).filter(|_| !task.is_none())
    }

    /// Reads a block of definitions; `None` if the bytes are invalid.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let mut take = Take(bytes);
        while let Some(tag) = take.byte() {
            match tag {
                FILE => {
                    let device = Device::new(take.u32()?, take.u32()?);
                    let inode = take.uint()?;
                    let name = take.bytes()?.to_vec();
                    let build_id = take.bytes()?.to_vec();
                    add(&mut self.files, FileEntry { device, inode, name, build_id })?;
                }
                TASK => {
                    let (tid, pid) = (Tid::new(take.u32()?), take.u32()?);
                    add(&mut self.tasks, TaskEntry { tid, pid, comm: take.bytes()?.to_vec() })?;
                }
                FRAME => {
                    let (file, guessed) = (take.u32()?, take.bool()?);
                    add(&mut self.frames, FrameEntry { file, offset: take.uint()?, guessed })?;
                }
                CALL => {
                    let (caller, frame) = (StackId::new(take.u32()?), take.u32()?);
                    add(&mut self.calls, CallEntry { caller, frame })?;
                }
                SYMBOL => {
                    let pid = take.u32()?;
                    let (address, size) = (take.uint()?, take.uint()?);
                    let name = take.bytes()?.to_vec();
                    add(&mut self.symbols, SymbolEntry { pid, address, size, name })?;
                }
                PLACE => {
                    let (file, offset) = (take.u32()?, take.uint()?);
                    let function = take.bytes()?.to_vec();
                    let function_offset = take.uint()?;
                    let source = take.bytes()?.to_vec();
                    let inlined = take.bool()?;
                    let entry =
                        PlaceEntry { file, offset, function, function_offset, source, inlined };
                    add(&mut self.places, entry)?;
                }
                _ => return None,
            }
        }
        Some(())
    }
}

/// The frame numbers of a stack, the innermost first.
pub(crate) fn walk(calls: &[CallEntry], stack: StackId) -> impl Iterator<Item = u32> {
    let mut next = stack.index();
    std::iter::from_fn(move || {
        let call = calls.get(next).filter(|_| next != 0)?;
        // Callers are written before the frames they call, so this ends.
        let caller = call.caller.index();
        next = if caller < next { caller } else { 0 };
        Some(call.frame)
    })
}

fn add<T>(list: &mut Vec<T>, entry: T) -> Option<()> {
    if list.len() >= MAX_ENTRIES {
        return None;
    }
    list.push(entry);
    Some(())
}

impl FileEntry {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(FILE);
        out.put(u64::from(self.device.major));
        out.put(u64::from(self.device.minor));
        out.put(self.inode);
        out.put_bytes(&self.name);
        out.put_bytes(&self.build_id);
    }
}

impl TaskEntry {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(TASK);
        out.put(u64::from(self.tid.get()));
        out.put(u64::from(self.pid));
        out.put_bytes(&self.comm);
    }
}

impl FrameEntry {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(FRAME);
        out.put(u64::from(self.file));
        out.push(u8::from(self.guessed));
        out.put(self.offset);
    }
}

impl CallEntry {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(CALL);
        out.put(u64::from(self.caller.get()));
        out.put(u64::from(self.frame));
    }
}

impl SymbolEntry {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(SYMBOL);
        out.put(u64::from(self.pid));
        out.put(self.address);
        out.put(self.size);
        out.put_bytes(&self.name);
    }
}

impl PlaceEntry {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(PLACE);
        out.put(u64::from(self.file));
        out.put(self.offset);
        out.put_bytes(&self.function);
        out.put(self.function_offset);
        out.put_bytes(&self.source);
        out.push(u8::from(self.inlined));
    }
}
