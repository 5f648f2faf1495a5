//! Calls that change an address space.

use super::line::Call;
use super::missing::MissingFact;
use super::task::TaskSpace;
use super::typed::{MAP_PLACED, Typed};
use crate::{CallKind, Maker, Origin};
use vmatlas_maps::AddressRange;
use vmatlas_space::Errno;
use vmatlas_space::File;

impl TaskSpace {
    /// Applies a call that has returned; `file` is the mapped file. Returns the ranges that it may
    /// have mapped.
    pub(crate) fn apply(
        &mut self,
        line: u64,
        call: &Call<'_>,
        typed: &Typed,
        file: Option<&File>,
        origin: Origin,
    ) -> [AddressRange; 2] {
        let origin = Origin { maker: Maker::Call(typed.call.kind), ..origin };
        let (name, typed) = (typed.name.as_deref(), &typed.call);
        let result = u64::try_from(typed.result).ok();
        let limit = self.map.memory.profile().task_size;
        let Some(result) = result else {
            let errno = Errno(i32::try_from(typed.result.unsigned_abs()).unwrap_or(0));
            let partly = matches!(errno, Errno::ENOMEM | Errno::EACCES | Errno::EPERM);
            // The model may fail at another address, because it does not know the whole state.
            if partly && self.map.is_partial(typed) {
                let mut tried = self.map.clone();
                if tried.call(typed, file, name, origin).refused.is_none() {
                    self.map = tried;
                }
            }
            return Default::default();
        };
        match typed.kind {
            CallKind::Brk if self.exec.start_brk.is_none() && result <= limit => {
                self.exec.start_brk = Some(result);
            }
            CallKind::Mprotect => self.place_images(typed.args[0], typed.args[1]),
            _ => {}
        }
        let applied = self.map.call(typed, file, name, origin);
        if let Some(errno) = applied.refused {
            self.gaps.push(MissingFact::Refused { line, call: call.name.to_owned(), errno });
        }
        let free = typed.kind == CallKind::Mmap && typed.args[3] & MAP_PLACED == 0;
        if free && self.exec.first_end.is_none() {
            self.exec.first_end = Some(applied.touched[0].end);
        }
        applied.touched
    }

    /// Locates the images of a program from an mprotect of memory that the log did not map.
    fn place_images(&mut self, address: u64, length: u64) {
        if !self.exec.open() || !self.inside(address, length) {
            return;
        }
        for placed in self.exec.protected(address, length, &self.map.memory) {
            placed.map(&mut self.map, &mut self.gaps, self.begun);
            self.placed.push(placed);
        }
    }

    /// Whether the range contains a mapping.
    pub(crate) fn is_taken(&self, address: u64, length: u64) -> bool {
        let end = address.saturating_add(length);
        self.map.memory.query(address, true).is_some_and(|next| next.range.start < end)
    }

    fn inside(&self, address: u64, length: u64) -> bool {
        let limit = self.map.memory.profile().task_size;
        address <= limit && length <= limit - address
    }
}
