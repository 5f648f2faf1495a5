//! Replays events to get all address spaces of a recording at a moment.

use super::definitions::FileEntry;
use super::event::{Event, What};
use super::id::{EventNumber, StackId, TaskId};
use super::origins::{Maker, Origin, Origins};
use super::space::{Applied, OpenFiles, RecordedSpace};
use std::collections::BTreeMap;
use std::sync::Arc;
use vmatlas_maps::AddressRange;
use vmatlas_space::bytes::{Put, Take};
use vmatlas_space::{AddressSpace, KernelProfile, SavedFiles};

/// The maximum number of VMAs of all address spaces together.
const MAX_ROWS: usize = 1 << 22;

/// The address spaces of a recording after some of its events.
#[derive(Clone, Debug)]
pub struct Replay {
    profile: Arc<KernelProfile>,
    /// Usually few; ordered, because they are saved in order.
    spaces: BTreeMap<u32, RecordedSpace>,
    /// The address space of each living task, by task entry.
    tasks: BTreeMap<TaskId, u32>,
    open: OpenFiles,
    next_space: u32,
    /// The task of the previous event, and its space.
    recent: Option<(TaskId, u32)>,
    /// The number and time of the last event.
    number: EventNumber,
    time_ns: u64,
    /// The number of address spaces dropped because of the limit.
    dropped: u64,
}

impl Replay {
    /// The state before the first event.
    pub fn new(profile: KernelProfile) -> Replay {
        Replay {
            profile: Arc::new(profile),
            spaces: BTreeMap::new(),
            tasks: BTreeMap::new(),
            open: OpenFiles::default(),
            next_space: 1,
            recent: None,
            number: EventNumber::NONE,
            time_ns: 0,
            dropped: 0,
        }
    }

    /// The number of the last event that was applied; 0 before the first.
    pub fn number(&self) -> EventNumber {
        self.number
    }

    /// The time of the last event, in nanoseconds from the start.
    pub fn time_ns(&self) -> u64 {
        self.time_ns
    }

    /// The address space of a task, by its entry; `None` if it is not known or has ended.
    pub fn space(&self, task: TaskId) -> Option<&RecordedSpace> {
        self.spaces.get(self.tasks.get(&task)?)
    }

    /// The number of a task's address space, unique in this recording.
    pub(crate) fn space_id(&self, task: TaskId) -> Option<u32> {
        self.tasks.get(&task).copied()
    }

    pub(crate) fn space_by_id(&self, id: u32) -> Option<&RecordedSpace> {
        self.spaces.get(&id)
    }

    /// The entries of the living tasks, in order.
    pub fn tasks(&self) -> Vec<TaskId> {
        self.tasks.keys().copied().collect()
    }

    /// The number of address spaces that are not tracked because of the limit on mappings.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn space_of(&mut self, task: TaskId) -> Option<&mut RecordedSpace> {
        let id = match self.recent {
            Some((recent, id)) if recent == task => id,
            _ => *self.tasks.get(&task)?,
        };
        self.recent = Some((task, id));
        self.spaces.get_mut(&id)
    }

    /// Applies an event.
    pub fn apply(&mut self, event: &Event, files: &[FileEntry]) -> Applied {
        self.number = event.number;
        self.time_ns = event.time_ns;
        match &event.what {
            What::Call { call, file, .. } => {
                let open = self.open.get(*file, files);
                let name = files.get(*file as usize).filter(|_| *file != 0);
                let name = name.map(|entry| entry.name.as_slice());
                let origin = origin(event, Maker::Call(call.kind));
                match self.space_of(event.task) {
                    Some(space) => return space.call(call, open.as_ref(), name, origin),
                    None => return Applied::default(),
                }
            }
            What::Observed { range, rows } => {
                if let Some(space) = self.space_of(event.task) {
                    let observation = space.observe(*range, rows, files);
                    let touched = [*range, AddressRange::default()];
                    return Applied { touched, observation, ..Applied::default() };
                }
            }
            What::Clone { child, memory } => self.clone_task(event.task, *child, *memory),
            What::Renamed { to } => {
                if let Some(space) = self.tasks.remove(&event.task) {
                    self.forget_recent();
                    self.tasks.insert(*to, space);
                }
            }
            What::Exec { to, rows } => {
                let origin = Origin { task: *to, ..origin(event, Maker::Exec) };
                let space = RecordedSpace::from_rows(&self.profile, rows, files, origin);
                self.leave(event.task);
                self.enter(*to, space);
            }
            What::Attached { rows } => {
                let origin = origin(event, Maker::Before);
                let space = RecordedSpace::from_rows(&self.profile, rows, files, origin);
                self.leave(event.task);
                self.enter(event.task, space);
            }
            What::Exit { .. } => self.leave(event.task),
            What::Fault { address, write } => {
                let origin = origin(event, Maker::Touch);
                if let Some(space) = self.space_of(event.task) {
                    space.touch(*address, *write, origin);
                }
            }
            What::Resident { ranges } => {
                if let Some(space) = self.space_of(event.task) {
                    space.resident = Some(ranges.clone());
                }
            }
            What::Signal { .. } | What::Registers { .. } | What::Lost { .. } => {}
        }
        Applied::default()
    }

    fn forget_recent(&mut self) {
        self.recent = None;
    }

    fn clone_task(&mut self, parent: TaskId, child: TaskId, memory: bool) {
        self.leave(child);
        let Some(&id) = self.tasks.get(&parent) else { return };
        if memory {
            if let Some(space) = self.spaces.get_mut(&id) {
                space.tasks = space.tasks.saturating_add(1);
                self.tasks.insert(child, id);
            }
            return;
        }
        let rows: usize = self.spaces.values().map(|space| space.memory.len()).sum();
        let Some(space) = self.spaces.get(&id) else { return };
        let own = space.memory.len();
        let space = if rows + own > MAX_ROWS {
            self.dropped += 1;
            RecordedSpace::empty(&self.profile)
        } else {
            space.fork()
        };
        self.enter(child, space);
    }

    /// Assigns an address space to a task.
    fn enter(&mut self, task: TaskId, space: RecordedSpace) {
        let id = self.next_space;
        self.next_space = self.next_space.wrapping_add(1);
        self.spaces.insert(id, space);
        self.tasks.insert(task, id);
        self.forget_recent();
    }

    /// Removes a task from its address space, and the space after its last task.
    fn leave(&mut self, task: TaskId) {
        self.forget_recent();
        let Some(id) = self.tasks.remove(&task) else { return };
        if let Some(space) = self.spaces.get_mut(&id) {
            space.tasks -= 1;
            if space.tasks == 0 {
                self.spaces.remove(&id);
            }
        }
    }

    /// Encodes the whole state.
    pub(crate) fn save(&self) -> Vec<u8> {
        let mut files = SavedFiles::default();
        let mut body = Vec::new();
        let mut open: Vec<_> = self.open.0.iter().collect();
        open.sort_unstable_by_key(|(number, _)| **number);
        body.put(open.len() as u64);
        for (number, file) in open {
            body.put(u64::from(*number));
            body.put(u64::from(files.number(file)));
        }
        body.put(self.spaces.len() as u64);
        for (id, space) in &self.spaces {
            body.put(u64::from(*id));
            space.memory.save(&mut files, &mut body);
            save_origins(space, &mut body);
        }
        body.put(self.tasks.len() as u64);
        for (task, space) in &self.tasks {
            body.put(u64::from(task.get()));
            body.put(u64::from(*space));
        }
        body.put(u64::from(self.next_space));
        let mut out = Vec::new();
        files.save(&mut out);
        out.append(&mut body);
        out
    }

    /// Decodes the bytes that [`save`](Replay::save) wrote, as the state after event `number`;
    /// `None` if they are invalid.
    pub(crate) fn load(
        profile: KernelProfile,
        bytes: &[u8],
        number: EventNumber,
        time_ns: u64,
    ) -> Option<Replay> {
        let mut take = Take(bytes);
        let mut replay = Replay { number, time_ns, ..Replay::new(profile) };
        let files = SavedFiles::load(&mut take)?;
        for _ in 0..take.count()? {
            let number = take.u32()?;
            replay.open.0.insert(number, files.get(take.u32()?)?);
        }
        for _ in 0..take.count()? {
            let id = take.u32()?;
            let memory = AddressSpace::restore(replay.profile.clone(), &files, &mut take)?;
            let mut space =
                RecordedSpace { memory, tasks: 0, ..RecordedSpace::empty(&replay.profile) };
            load_origins(&mut space, &mut take)?;
            replay.spaces.insert(id, space);
        }
        for _ in 0..take.count()? {
            let (task, id) = (TaskId::new(take.u32()?), take.u32()?);
            replay.spaces.get_mut(&id)?.tasks += 1;
            if replay.tasks.insert(task, id).is_some() {
                return None;
            }
        }
        replay.next_space = take.u32()?;
        // The number of a new space must not be in use.
        let last = replay.spaces.last_key_value().map_or(0, |(id, _)| *id);
        (last < replay.next_space).then_some(replay)
    }
}

fn origin(event: &Event, maker: Maker) -> Origin {
    Origin {
        event: event.number,
        time_ns: event.time_ns,
        task: event.task,
        stack: event.stack,
        maker,
        inherited: false,
    }
}

fn save_origins(space: &RecordedSpace, out: &mut Vec<u8>) {
    out.put(space.uffds.len() as u64);
    for (descriptor, uffd) in &space.uffds {
        out.put(*descriptor);
        out.put(u64::from(uffd.number()));
    }
    save_pieces(&space.origins, out);
    save_pieces(&space.touched, out);
    let resident = space.resident.as_deref();
    out.push(u8::from(resident.is_some()));
    let resident = resident.unwrap_or_default();
    out.put(resident.len() as u64);
    let mut near = 0;
    for range in resident {
        out.put_address(range.start, near);
        out.put_address(range.end, range.start);
        near = range.end;
    }
}

fn save_pieces(origins: &Origins, out: &mut Vec<u8>) {
    out.put(origins.len() as u64);
    let (mut near, mut event, mut time_ns) = (0, 0_u64, 0_u64);
    for (range, origin) in origins.iter() {
        out.put_address(range.start, near);
        out.put_address(range.end, range.start);
        near = range.end;
        out.push(origin.maker.number());
        out.push(u8::from(origin.inherited));
        out.put_signed(origin.event.get().wrapping_sub(event) as i64);
        out.put_signed(origin.time_ns.wrapping_sub(time_ns) as i64);
        (event, time_ns) = (origin.event.get(), origin.time_ns);
        out.put(u64::from(origin.task.get()));
        out.put(u64::from(origin.stack.get()));
    }
}

fn load_origins(space: &mut RecordedSpace, take: &mut Take<'_>) -> Option<()> {
    for _ in 0..take.count()? {
        let descriptor = take.uint()?;
        space.uffds.insert(descriptor, vmatlas_space::Uffd::from_number(take.u32()?));
    }
    space.origins = load_pieces(take)?;
    space.touched = load_pieces(take)?;
    let known = take.bool()?;
    let mut resident = Vec::new();
    let mut near = 0;
    for _ in 0..take.count()? {
        let start = take.address(near)?;
        near = take.address(start)?;
        resident.push(AddressRange::new(start, near));
    }
    space.resident = known.then_some(resident);
    Some(())
}

fn load_pieces(take: &mut Take<'_>) -> Option<Origins> {
    let mut origins = Origins::default();
    let (mut near, mut event, mut time_ns) = (0, 0_u64, 0_u64);
    for _ in 0..take.count()? {
        let start = take.address(near)?;
        near = take.address(start)?;
        let maker = Maker::from_number(take.byte()?)?;
        let inherited = take.bool()?;
        event = event.wrapping_add(take.signed()? as u64);
        time_ns = time_ns.wrapping_add(take.signed()? as u64);
        let (task, stack) = (TaskId::new(take.u32()?), StackId::new(take.u32()?));
        let number = EventNumber::new(event);
        let origin = Origin { event: number, time_ns, task, stack, maker, inherited };
        origins.set(AddressRange::new(start, near), origin);
    }
    Some(origins)
}
