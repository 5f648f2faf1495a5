//! File descriptors.

use super::files::Open;
use std::collections::BTreeMap;

/// The descriptors of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Descriptors(BTreeMap<i32, (Open, bool)>);

impl Descriptors {
    pub(crate) fn get(&self, number: i32) -> Option<&Open> {
        self.0.get(&number).map(|(open, _)| open)
    }

    pub(crate) fn put(&mut self, number: i32, open: Open, cloexec: bool) {
        self.0.insert(number, (open, cloexec));
    }

    pub(crate) fn set_cloexec(&mut self, number: i32, cloexec: bool) {
        if let Some((_, flag)) = self.0.get_mut(&number) {
            *flag = cloexec;
        }
    }

    pub(crate) fn close(&mut self, number: i32) -> Option<Open> {
        self.0.remove(&number).map(|(open, _)| open)
    }

    /// The open descriptors from `first` to `last`.
    pub(crate) fn numbers(&self, first: i32, last: i32) -> Vec<i32> {
        if first > last {
            return Vec::new();
        }
        self.0.range(first..=last).map(|(number, _)| *number).collect()
    }

    /// Closes the close-on-exec descriptors, as execve does.
    pub(crate) fn exec(&mut self) {
        self.0.retain(|_, (_, cloexec)| !*cloexec);
    }
}
