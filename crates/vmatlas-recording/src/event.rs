//! Events and their encoding.

use super::call::{Call, CallKind};
use super::id::{EventNumber, StackId, TaskId};
use vmatlas_maps::{AddressRange, Perms};
use vmatlas_space::bytes::{Put, Take};

/// A change of an address space, or an observation by the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number, counted from 1 over the whole recording, in the kernel's order.
    pub number: EventNumber,
    /// The time in nanoseconds from the start of the recording.
    pub time_ns: u64,
    /// The thread that caused it, see [`Definitions::task`](super::Definitions::task).
    pub task: TaskId,
    /// Its call stack, see [`Definitions::frames_of`](super::Definitions::frames_of).
    pub stack: StackId,
    /// The kind and content of the event.
    pub what: What,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A system call has returned.
    Call {
        /// The call.
        call: Call,
        /// The mapped file, an index into [`Definitions::files`](super::Definitions::files) (0 for
        /// memory without a file); for `PR_SET_VMA_ANON_NAME`, the entry with the given name.
        file: u32,
        /// Whether its order among the calls of the same address space is certain.
        in_order: bool,
    },
    /// The task made another task, which shares (`memory`) or copies its address space.
    Clone {
        /// The new task.
        child: TaskId,
        /// Whether the two share their address space (`CLONE_VM`).
        memory: bool,
    },
    /// The task has a new name and, from now on, another task entry.
    Renamed {
        /// The entry.
        to: TaskId,
    },
    /// The task executed a program and has a new address space.
    Exec {
        /// The task entry from now on.
        to: TaskId,
        /// All rows.
        rows: Vec<RecordedRow>,
    },
    /// The task existed before the recording, with these rows.
    Attached {
        /// All rows.
        rows: Vec<RecordedRow>,
    },
    /// The kernel shows these rows in `range`, which differ from the result of the events.
    Observed {
        /// The observed addresses.
        range: AddressRange,
        /// The rows that overlap it, not cut.
        rows: Vec<RecordedRow>,
    },
    /// The task ended, with a status as in wait(2).
    Exit {
        /// The status.
        status: i32,
    },
    /// A signal that ends the process was delivered.
    Signal {
        /// Its number.
        number: i32,
        /// `si_code`.
        code: i32,
        /// `si_addr`.
        address: u64,
    },
    /// The registers at the signal of the next event.
    Registers {
        /// The registers by their names in the architecture's manual, in lower case; also `fs_base`
        /// and `gs_base`.
        values: Vec<(Vec<u8>, u64)>,
        /// The readable code bytes at the instruction pointer.
        code: Vec<u8>,
    },
    /// A page was accessed for the first time (`--pages`).
    Fault {
        /// The address.
        address: u64,
        /// Whether it is known to be a write.
        write: bool,
    },
    /// The resident pages of the task (`--pages`).
    Resident {
        /// All ranges, in order; they do not touch.
        ranges: Vec<AddressRange>,
    },
    /// Events were lost before this one.
    Lost {
        /// The number of lost events.
        events: u64,
    },
}

/// A row of maps in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedRow {
    /// The addresses.
    pub range: AddressRange,
    /// The permissions.
    pub perms: Perms,
    /// The offset, in bytes.
    pub offset: u64,
    /// Device, inode and name: an index into [`Definitions::files`](super::Definitions::files).
    pub file: u32,
}

/// The state from the previous event, which the encoding of an event omits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) number: EventNumber,
    pub(crate) time_ns: u64,
    task: TaskId,
    stack: StackId,
    address: u64,
}

/// Tags of events other than calls; a call has the number of its kind.
const CLONE: u8 = 64;
const RENAMED: u8 = 65;
const EXEC: u8 = 66;
const ATTACHED: u8 = 67;
const OBSERVED: u8 = 68;
const EXIT: u8 = 69;
const SIGNAL: u8 = 70;
const FAULT: u8 = 71;
const LOST: u8 = 72;
const RESIDENT: u8 = 73;
const REGISTERS: u8 = 74;
const WRITE_FAULT: u8 = 75;
/// Set in a tag if the task is that of the previous event.
const SAME_TASK: u8 = 0x80;

/// Bits of the byte after the tag of a call.
const WITH_FILE: u8 = 1;
const OUT_OF_ORDER: u8 = 2;
/// The result is 0 and omitted.
const RESULT_ZERO: u8 = 4;
/// The result equals the address in the first argument.
const RESULT_FIRST: u8 = 8;

impl Context {
    /// The state at the start of a block of events.
    pub(crate) fn at(number: EventNumber, time_ns: u64) -> Context {
        Context { number, time_ns, ..Context::default() }
    }

    /// Writes an event; ignores its number.
    pub(crate) fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        let tag = match &event.what {
            What::Call { call, .. } => call.kind as u8,
            What::Clone { .. } => CLONE,
            What::Renamed { .. } => RENAMED,
            What::Exec { .. } => EXEC,
            What::Attached { .. } => ATTACHED,
            What::Observed { .. } => OBSERVED,
            What::Exit { .. } => EXIT,
            What::Signal { .. } => SIGNAL,
            What::Fault { write: false, .. } => FAULT,
            What::Fault { write: true, .. } => WRITE_FAULT,
            What::Lost { .. } => LOST,
            What::Resident { .. } => RESIDENT,
            What::Registers { .. } => REGISTERS,
        };
        let same = event.task == self.task;
        out.push(if same { tag | SAME_TASK } else { tag });
        if !same {
            out.put(u64::from(event.task.get()));
        }
        out.put_signed(event.time_ns.wrapping_sub(self.time_ns) as i64);
        out.put_signed(i64::from(event.stack.get()) - i64::from(self.stack.get()));
        self.time_ns = event.time_ns;
        self.task = event.task;
        self.stack = event.stack;
        self.number = self.number.next();
        match &event.what {
            What::Call { call, file, in_order } => self.write_call(call, *file, *in_order, out),
            What::Clone { child, memory } => {
                out.put(u64::from(child.get()));
                out.push(u8::from(*memory));
            }
            What::Renamed { to } => out.put(u64::from(to.get())),
            What::Exec { to, rows } => {
                out.put(u64::from(to.get()));
                self.write_rows(rows, out);
            }
            What::Attached { rows } => self.write_rows(rows, out),
            What::Observed { range, rows } => {
                out.put_address(range.start, self.address);
                out.put_address(range.end, range.start);
                self.address = range.start;
                self.write_rows(rows, out);
            }
            What::Exit { status } => out.put_signed(i64::from(*status)),
            What::Signal { number, code, address } => {
                out.put_signed(i64::from(*number));
                out.put_signed(i64::from(*code));
                out.put(*address);
            }
            What::Fault { address, .. } => {
                out.put_address(*address, self.address);
                self.address = *address;
            }
            What::Lost { events } => out.put(*events),
            What::Registers { values, code } => {
                out.put(values.len() as u64);
                for (name, value) in values {
                    out.put_bytes(name);
                    out.put(*value);
                }
                out.put_bytes(code);
            }
            What::Resident { ranges } => {
                out.put(ranges.len() as u64);
                for range in ranges {
                    out.put_address(range.start, self.address);
                    out.put_address(range.end, range.start);
                    self.address = range.end;
                }
            }
        }
    }

    fn write_call(&mut self, call: &Call, file: u32, in_order: bool, out: &mut Vec<u8>) {
        let count = call.kind.arguments();
        let first = if count > 0 { call.args[0] } else { 0 };
        let mut bits = if file != 0 { WITH_FILE } else { 0 };
        if !in_order {
            bits |= OUT_OF_ORDER;
        }
        if call.result == 0 {
            bits |= RESULT_ZERO;
        } else if call.result as u64 == first {
            bits |= RESULT_FIRST;
        }
        out.push(bits);
        for (index, argument) in call.args[..count].iter().enumerate() {
            match index {
                0 => out.put_address(*argument, self.address),
                // Lengths and offsets are usually whole pages.
                1 | 5 => out.put(argument.rotate_right(12)),
                _ => out.put_signed(*argument as i64),
            }
        }
        let mut near = first;
        if bits & (RESULT_ZERO | RESULT_FIRST) == 0 {
            // Without a hint, the new mapping is usually near the last one.
            let from = if first == 0 { self.address } else { first };
            out.put_address(call.result as u64, from);
            if call.result > 0 {
                near = call.result as u64;
            }
        }
        if near != 0 {
            self.address = near;
        }
        if file != 0 {
            out.put(u64::from(file));
        }
    }

    fn write_rows(&mut self, rows: &[RecordedRow], out: &mut Vec<u8>) {
        out.put(rows.len() as u64);
        for row in rows {
            row.write(self.address, out);
            self.address = row.range.end;
        }
    }

    /// Reads the next event; `None` if the bytes are invalid.
    #[inline]
    pub(crate) fn read(&mut self, take: &mut Take<'_>) -> Option<Event> {
        let tag = take.byte()?;
        let task = if tag & SAME_TASK != 0 { self.task } else { TaskId::new(take.u32()?) };
        let time_ns = self.time_ns.wrapping_add(take.signed()? as u64);
        let stack = i64::from(self.stack.get()).checked_add(take.signed()?)?;
        let stack = StackId::new(u32::try_from(stack).ok()?);
        (self.time_ns, self.task, self.stack) = (time_ns, task, stack);
        let number = self.number;
        // The number comes from a header and is not trusted.
        self.number = number.next();
        let what = match tag & !SAME_TASK {
            CLONE => What::Clone { child: TaskId::new(take.u32()?), memory: take.bool()? },
            RENAMED => What::Renamed { to: TaskId::new(take.u32()?) },
            EXEC => What::Exec { to: TaskId::new(take.u32()?), rows: self.read_rows(take)? },
            ATTACHED => What::Attached { rows: self.read_rows(take)? },
            OBSERVED => {
                let start = take.address(self.address)?;
                let range = AddressRange::new(start, take.address(start)?);
                self.address = start;
                What::Observed { range, rows: self.read_rows(take)? }
            }
            EXIT => What::Exit { status: i32::try_from(take.signed()?).ok()? },
            SIGNAL => What::Signal {
                number: i32::try_from(take.signed()?).ok()?,
                code: i32::try_from(take.signed()?).ok()?,
                address: take.uint()?,
            },
            FAULT | WRITE_FAULT => {
                self.address = take.address(self.address)?;
                What::Fault { address: self.address, write: tag & !SAME_TASK == WRITE_FAULT }
            }
            LOST => What::Lost { events: take.uint()? },
            REGISTERS => {
                let count = take.count()?;
                let mut values = Vec::with_capacity(count);
                for _ in 0..count {
                    values.push((take.bytes()?.to_vec(), take.uint()?));
                }
                What::Registers { values, code: take.bytes()?.to_vec() }
            }
            RESIDENT => What::Resident { ranges: self.read_ranges(take)? },
            kind => self.read_call(CallKind::from_number(kind)?, take)?,
        };
        Some(Event { number, time_ns, task, stack, what })
    }

    #[inline]
    fn read_call(&mut self, kind: CallKind, take: &mut Take<'_>) -> Option<What> {
        let bits = take.byte()?;
        let mut args = [0; 6];
        for (index, argument) in args[..kind.arguments()].iter_mut().enumerate() {
            *argument = match index {
                0 => take.address(self.address)?,
                1 | 5 => take.uint()?.rotate_left(12),
                _ => take.signed()? as u64,
            };
        }
        let first = args[0];
        let mut near = first;
        let result = if bits & RESULT_ZERO != 0 {
            0
        } else if bits & RESULT_FIRST != 0 {
            first as i64
        } else {
            let result = take.address(if first == 0 { self.address } else { first })? as i64;
            if result > 0 {
                near = result as u64;
            }
            result
        };
        if near != 0 {
            self.address = near;
        }
        let file = if bits & WITH_FILE != 0 { take.u32()? } else { 0 };
        let call = Call { kind, args, result };
        Some(What::Call { call, file, in_order: bits & OUT_OF_ORDER == 0 })
    }

    fn read_ranges(&mut self, take: &mut Take<'_>) -> Option<Vec<AddressRange>> {
        let count = take.count()?;
        let mut ranges = Vec::with_capacity(count);
        for _ in 0..count {
            let start = take.address(self.address)?;
            let end = take.address(start)?;
            self.address = end;
            ranges.push(AddressRange::new(start, end));
        }
        Some(ranges)
    }

    fn read_rows(&mut self, take: &mut Take<'_>) -> Option<Vec<RecordedRow>> {
        let count = take.count()?;
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            let row = RecordedRow::read(self.address, take)?;
            self.address = row.range.end;
            rows.push(row);
        }
        Some(rows)
    }
}

impl RecordedRow {
    pub(crate) fn write(&self, near: u64, out: &mut Vec<u8>) {
        out.put_address(self.range.start, near);
        out.put_address(self.range.end, self.range.start);
        out.extend_from_slice(&self.perms.0);
        out.put(self.offset.rotate_right(12));
        out.put(u64::from(self.file));
    }

    pub(crate) fn read(near: u64, take: &mut Take<'_>) -> Option<RecordedRow> {
        let start = take.address(near)?;
        let end = take.address(start)?;
        let perms = Perms([take.byte()?, take.byte()?, take.byte()?, take.byte()?]);
        let offset = take.uint()?.rotate_left(12);
        Some(RecordedRow { range: AddressRange::new(start, end), perms, offset, file: take.u32()? })
    }
}
