//! Compares the model with the kernel.

use super::{ROWS_TO_CHECK, Recorder};
use crate::record::space::{LiveSpace, escaped};
use crate::record::unwind::Modules;
use vmatlas_maps::{AddressRange, Maps};
use vmatlas_recording::{Applied, StackId, TaskId, Tid, What};
use vmatlas_space::AddressSpace;

impl Recorder {
    /// Compares the rows around a call's range with the kernel's.
    pub(super) fn check(
        &mut self,
        tid: Tid,
        entry: TaskId,
        space: &mut LiveSpace,
        applied: &Applied,
    ) {
        for range in applied.touched.into_iter().filter(|range| range.size() > 0) {
            let window =
                AddressRange::new(range.start.saturating_sub(1), range.end.saturating_add(1));
            let Some(model) = self.replay.space(entry) else { return };
            self.truth.checks += 1;
            match agrees(&model.memory, space, window) {
                Agreement::Same => {}
                Agreement::TooMany => self.check_whole(tid, entry, space),
                Agreement::Different => {
                    if let Some(rows) = space.rows(window, usize::MAX) {
                        self.observe(entry, space, window, &rows);
                    }
                }
            }
        }
    }

    /// Handles a difference between the kernel and the model in `window`.
    pub(super) fn observe(
        &mut self,
        entry: TaskId,
        space: &LiveSpace,
        window: AddressRange,
        rows: &Maps,
    ) {
        let rows = self.rows(space, rows);
        let applied = self.event(entry, StackId::NONE, What::Observed { range: window, rows });
        self.truth.settled += applied.observation.settled as u64;
        self.truth.corrected += applied.observation.corrected as u64;
    }

    /// Compares all rows of an address space with the kernel's text.
    pub(super) fn check_whole(&mut self, tid: Tid, entry: TaskId, space: &LiveSpace) {
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.unchecked = 0;
        }
        if let Ok(shown) = space.all_rows() {
            self.compare(entry, space, &shown);
        }
    }

    /// Compares all rows of an address space with the kernel's rows.
    pub(in crate::record) fn compare(&mut self, entry: TaskId, space: &LiveSpace, shown: &Maps) {
        let Some(model) = self.replay.space(entry) else { return };
        self.truth.whole_checks += 1;
        let model = model.memory.maps();
        self.truth.rows += shown.len() as u64;
        let (a, b) = (model.len(), shown.len());
        let same = |i: usize, j: usize| model.get(i) == shown.get(j);
        let before = (0..a.min(b)).take_while(|i| same(*i, *i)).count();
        if before == a && before == b {
            return;
        }
        let after = (0..a.min(b) - before).take_while(|i| same(a - 1 - i, b - 1 - i)).count();
        self.truth.rows_wrong += (b - before - after) as u64;
        let start = before.checked_sub(1).and_then(|last| shown.get(last));
        let end = b.checked_sub(after).filter(|at| *at < b).and_then(|at| shown.get(at));
        let limit = self.replay.space(entry).map_or(0, |s| s.memory.profile().task_size);
        let window = AddressRange::new(
            start.map_or(0, |row| row.range.end),
            end.map_or(limit, |row| row.range.start),
        );
        let mut rows = Maps::default();
        (before..b - after).filter_map(|at| shown.get(at)).for_each(|row| rows.push(&row));
        self.observe(entry, space, window, &rows);
    }

    /// Writes rows that differ from the model's because nothing was observed until now. They are no
    /// error of the model.
    pub(super) fn correct(&mut self, entry: TaskId, space: &mut LiveSpace, rows: &Maps) {
        let truth = self.truth.clone();
        let next = self.writer.next_number();
        self.compare(entry, space, rows);
        self.truth = truth;
        if self.writer.next_number() != next {
            space.modules = Modules::default();
            self.map_all_code(space, rows);
        }
    }

    /// Writes the resident pages, if requested.
    pub(in crate::record) fn note_resident(&mut self, entry: TaskId, space: &LiveSpace) {
        if !self.pages {
            return;
        }
        if let Some(ranges) = space.resident() {
            self.event(entry, StackId::NONE, What::Resident { ranges });
        }
    }

    /// Checks the address space of a task that ends.
    pub(super) fn last_look(&mut self, tid: Tid) {
        let Some(&super::Task { entry, pid, space: id, .. }) = self.tasks.get(&tid) else { return };
        let (rows, wrong) = (self.truth.rows, self.truth.rows_wrong);
        self.with(id, |recorder, space| {
            if space.tasks == 1 {
                recorder.check_whole(tid, entry, space);
                recorder.note_resident(entry, space);
                recorder.name_jit(pid, space);
                recorder.name_lost(space);
            }
        });
        self.truth.rows_at_exit += self.truth.rows - rows;
        self.truth.rows_wrong_at_exit += self.truth.rows_wrong - wrong;
    }
}

/// The result of a comparison of rows.
enum Agreement {
    Same,
    Different,
    TooMany,
}

/// Whether model and kernel show the same rows in `window`.
fn agrees(model: &AddressSpace, space: &mut LiveSpace, window: AddressRange) -> Agreement {
    let mut from = window.start;
    for _ in 0..ROWS_TO_CHECK {
        let own = model.query(from, true).filter(|row| row.range.start < window.end);
        let shown = space.find_or_next(from).filter(|row| row.range.start < window.end);
        match (own, shown) {
            (None, None) => return Agreement::Same,
            (Some(own), Some(shown)) => {
                let same = own.range == shown.range
                    && own.perms == shown.perms
                    && own.offset == shown.offset
                    && own.inode == shown.inode
                    && own.device == shown.device
                    && own.name == escaped(&shown, &mut Vec::new()).name;
                if !same {
                    return Agreement::Different;
                }
                from = own.range.end;
                if from >= window.end {
                    return Agreement::Same;
                }
            }
            _ => return Agreement::Different,
        }
    }
    Agreement::TooMany
}
