//! Builds calls, and names their results.

use super::super::RunnerError;
use super::super::program::{Action, Argument, Op, Program};
use Argument::{Address, Slot, Value, Zero};
use libc::c_long;
use std::collections::HashMap;
use vmatlas_space::scenario::{Length, PageAddress, Span};

/// The kind of value in a slot; descriptors, segments and keys have separate names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holds {
    Descriptor,
    Segment,
    Key,
}

pub(super) struct Compiler<'a> {
    pub(super) page_size: u64,
    pub(super) program: Program,
    pub(super) slots: HashMap<(Holds, &'a str), u32>,
    /// The path at which a file was created or opened.
    pub(super) paths: HashMap<&'a str, &'a [u8]>,
    pub(super) step: u32,
    pub(super) line: u32,
    /// The current process, the parents of all processes, and the processes to which `child`
    /// returns.
    pub(super) who: u32,
    pub(super) parents: Vec<Option<u32>>,
    pub(super) left: Vec<u32>,
}

impl<'a> Compiler<'a> {
    /// Opens a path that further `open`s refer to as well.
    pub(super) fn open(
        &mut self,
        label: &'a str,
        path: &'a [u8],
        flags: i32,
    ) -> Result<u32, RunnerError> {
        let slot = self.make(Holds::Descriptor, label);
        self.paths.insert(label, path);
        self.open_at(slot, path, flags)?;
        Ok(slot)
    }

    pub(super) fn open_at(
        &mut self,
        slot: u32,
        path: &[u8],
        flags: i32,
    ) -> Result<(), RunnerError> {
        let path = self.string(path)?;
        let arguments = [here(), path, Value(flags as u64), Value(0o600)];
        self.call_into(slot, libc::SYS_openat, padded(arguments));
        Ok(())
    }

    pub(super) fn at_path(
        &mut self,
        number: c_long,
        path: &[u8],
        last: u64,
    ) -> Result<(), RunnerError> {
        let path = self.string(path)?;
        self.call(number, padded([here(), path, Value(last)]));
        Ok(())
    }

    pub(super) fn at_paths(
        &mut self,
        number: c_long,
        from: &[u8],
        to: &[u8],
    ) -> Result<(), RunnerError> {
        let (from, to) = (self.string(from)?, self.string(to)?);
        self.call(number, padded([here(), from, here(), to]));
        Ok(())
    }

    pub(super) fn truncate(&mut self, fd: u32, pages: u64) {
        let size = Value(pages.wrapping_mul(self.page_size));
        self.call(libc::SYS_ftruncate, padded([Slot(fd), size]));
    }

    /// A call on a span, whose range is the first two arguments.
    pub(super) fn over<const N: usize>(&mut self, number: c_long, span: Span, rest: [Argument; N]) {
        let mut arguments = [Zero; 6];
        arguments[0] = self.address(span.at);
        arguments[1] = Value(self.bytes_of(span.length));
        arguments[2..2 + N].copy_from_slice(&rest);
        self.call(number, arguments);
    }

    pub(super) fn call(&mut self, number: c_long, arguments: [Argument; 6]) {
        self.push(Action::Call { number: number as u64, arguments, result: None });
    }

    pub(super) fn call_into(&mut self, slot: u32, number: c_long, arguments: [Argument; 6]) {
        self.push(Action::Call { number: number as u64, arguments, result: Some(slot) });
    }

    pub(super) fn push(&mut self, action: Action) {
        self.program.ops.push(Op { who: self.who, step: self.step, action });
    }

    /// The slot for an operation's result.
    pub(super) fn make(&mut self, holds: Holds, name: &'a str) -> u32 {
        let slots = &mut self.program.slots;
        *self.slots.entry((holds, name)).or_insert_with(|| {
            *slots += 1;
            *slots - 1
        })
    }

    pub(super) fn get(&self, holds: Holds, what: &str, name: &str) -> Result<u32, RunnerError> {
        self.slots.get(&(holds, name)).copied().ok_or_else(|| self.unknown(what, name))
    }

    pub(super) fn descriptor(&self, name: &str) -> Result<u32, RunnerError> {
        self.get(Holds::Descriptor, "open file", name)
    }

    pub(super) fn use_key(&self, name: &str) -> Result<Argument, RunnerError> {
        self.get(Holds::Key, "key", name).map(Slot)
    }

    pub(super) fn unknown(&self, what: &str, name: &str) -> RunnerError {
        self.error(&format!("no {what} is called {name}"))
    }

    pub(super) fn error(&self, what: &str) -> RunnerError {
        RunnerError::Scenario { line: self.line, what: what.to_owned() }
    }

    pub(super) fn offset(&self, place: PageAddress) -> i64 {
        let pages = place.page.wrapping_mul(self.page_size as i64);
        pages.wrapping_add_unsigned(place.bytes)
    }

    pub(super) fn address(&self, place: PageAddress) -> Argument {
        Address(self.offset(place))
    }

    pub(super) fn bytes_of(&self, length: Length) -> u64 {
        match length {
            Length::Pages(pages) => pages.wrapping_mul(self.page_size),
            Length::Bytes(bytes) => bytes,
        }
    }

    pub(super) fn string(&mut self, bytes: &[u8]) -> Result<Argument, RunnerError> {
        if bytes.contains(&0) {
            return Err(self.error("a name holds no NUL"));
        }
        let at = self.raw(bytes);
        self.program.bytes.push(0);
        Ok(at)
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> Argument {
        let at = self.program.bytes.len() as u32;
        self.program.bytes.extend_from_slice(bytes);
        Argument::Bytes(at)
    }
}

/// The descriptor of the current directory.
fn here() -> Argument {
    Value(libc::AT_FDCWD as u64)
}

pub(super) fn padded<const N: usize>(given: [Argument; N]) -> [Argument; 6] {
    let mut arguments = [Zero; 6];
    arguments[..N].copy_from_slice(&given);
    arguments
}
