//! Rows from maps files that a process read while strace traced it.

use super::line::{Call, Outcome};
use super::replay::State;
use super::task::{Task, TaskSpace};
use super::value::Value;
use vmatlas_maps::Kind;
use vmatlas_maps::{AddressRange, Mapping};

/// The maximum size of a maps text that is joined from reads, in bytes.
const MAX_TEXT: usize = 1 << 24;

impl State<'_> {
    /// Takes rows from a read of the process's own maps, if strace did not cut it (`-s`).
    pub(crate) fn read(&mut self, task: &Task, call: &Call<'_>) {
        let number = call.arg(0).and_then(Value::descriptor).map_or(-1, |fd| fd.number);
        let Some(open) = task.descriptors.borrow().get(number).cloned() else { return };
        let own = format!("/proc/{}/maps", task.process);
        let path = open.name.path();
        if path != b"/proc/self/maps" && path != own.as_bytes() {
            return;
        }
        let (Outcome::Ok(_), Some(length)) = (call.result, call.value()) else { return };
        let mut reading = open.reading.borrow_mut();
        let Some(text) = &mut reading.0 else { return };
        if length == 0 {
            let text = std::mem::take(text);
            task.space.borrow_mut().observe(&text);
            return;
        }
        match call.arg(1).and_then(Value::string) {
            Some((part, true))
                if part.len() as u64 == length && text.len() + part.len() < MAX_TEXT =>
            {
                text.extend_from_slice(&part);
            }
            _ => reading.0 = None,
        }
    }
}

impl TaskSpace {
    /// Corrects the model to the rows of a maps text.
    fn observe(&mut self, text: &[u8]) {
        let rows: Vec<Mapping<'_>> = vmatlas_maps::rows(text).filter_map(Result::ok).collect();
        let own = || rows.iter().filter(|row| row.kind() != Kind::Vsyscall);
        let ordered = rows.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start);
        let sound = rows.iter().all(|row| row.range.start < row.range.end);
        if !ordered || !sound || own().next().is_none() {
            return;
        }
        let range = AddressRange::new(0, self.map.memory.profile().task_size);
        self.map.memory.observe(range, own().copied());
        self.map.origins.keep(range, own().map(|row| row.range));
        self.name_the_rest(own());
        for row in own() {
            match row.kind() {
                Kind::Stack => self.map.memory.set_start_stack(row.range.end - 1),
                // No call shows the start of the heap of a program that was already running.
                Kind::Heap if self.id == 0 => {
                    let end = self.map.memory.program_break();
                    let inside = row.range.start < end && end <= row.range.end;
                    let heap = if inside { row.range.with_end(end) } else { row.range };
                    self.map.memory.set_heap(heap);
                }
                _ => {}
            }
        }
        self.exec.forget();
        self.gaps.clear();
    }

    /// Sets the origin of rows that no call made. In a process from before the log these are all
    /// rows; after execve they are the kernel's own mappings and those of the program's file and
    /// its interpreter, each with the zeroed memory after it.
    fn name_the_rest<'r>(&mut self, rows: impl Iterator<Item = &'r Mapping<'r>>) {
        let mut image_end = None;
        for row in rows {
            let image = row.name == self.program || self.exec.names(row.name);
            let zeros = row.name.is_empty() && image_end == Some(row.range.start);
            let kernel = matches!(row.kind(), Kind::Stack | Kind::Vdso | Kind::Vvar);
            if self.id == 0 || image || zeros || kernel {
                self.map.origins.fill(row.range, self.begun);
            }
            image_end = image.then_some(row.range.end);
        }
    }
}
