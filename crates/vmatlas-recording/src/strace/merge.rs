//! Logs in one file per thread, from `strace -ff`.

use super::line::{Line, Stamp};
use super::reader::Reader;
use super::replay::Replay;
use crate::Tid;
use std::time::Duration;
use vmatlas_maps::WarningKind;

/// One file and the position in it.
struct Part<'t> {
    tid: Tid,
    rest: &'t [u8],
    reader: Reader,
    begun: bool,
}

impl Part<'_> {
    fn first_line(&self) -> &[u8] {
        self.rest.split(|&b| b == b'\n').next().unwrap_or_default()
    }

    /// The time of the next line.
    fn next(&self) -> Option<Duration> {
        match Line::parse(self.first_line()).ok()?.time? {
            Stamp::Clock(time) => Some(time),
            Stamp::Since(_) => None,
        }
    }
}

impl Replay<'_> {
    /// Takes the files of `strace -ff`, each with the id of its thread.
    ///
    /// Lines are merged by time (`-t`, `-tt`, `-ttt`). Without times a child is replayed to its end
    /// as soon as it is made; the order of threads then differs from the real one.
    pub fn push_files(&mut self, files: &[(Tid, &[u8])]) {
        let files = files.iter().filter(|(_, text)| !text.is_empty());
        let mut parts: Vec<Part<'_>> = files
            .map(|&(tid, rest)| Part { tid, rest, reader: Reader::of(tid), begun: false })
            .collect();
        parts.sort_by_key(|part| part.tid);
        let times: Option<Vec<Duration>> = parts.iter().map(Part::next).collect();
        match times.as_ref().and_then(|times| times.iter().min()) {
            Some(first) => {
                parts.iter_mut().for_each(|part| part.reader.begin_at(*first));
                self.in_order_of_time(&mut parts);
            }
            None => self.children_first(&mut parts),
        }
        for part in parts {
            for warning in part.reader.into_warnings() {
                let text = format!("of process {}: {warning}", part.tid);
                self.state.warnings.push(0, WarningKind::Source(text));
            }
        }
    }

    /// Takes the next line of a file and the call stack after it; returns false at the end.
    fn step(&mut self, part: &mut Part<'_>) -> bool {
        let mut more = self.line(part);
        while more && part.rest.starts_with(b" > ") {
            more = self.line(part);
        }
        more
    }

    fn line(&mut self, part: &mut Part<'_>) -> bool {
        let end = memchr::memchr(b'\n', part.rest).map_or(part.rest.len(), |end| end + 1);
        let (line, rest) = part.rest.split_at(end);
        part.rest = rest;
        part.begun = true;
        let state = &mut self.state;
        state.number_over_files();
        part.reader.push(line, &mut |entry| state.take(&entry));
        if rest.is_empty() {
            part.reader.finish(&mut |entry| state.take(&entry));
        }
        !rest.is_empty()
    }

    fn in_order_of_time(&mut self, parts: &mut [Part<'_>]) {
        let mut queue: std::collections::BTreeSet<(Duration, usize)> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| (part.next().unwrap_or_default(), index))
            .collect();
        while let Some((time, index)) = queue.pop_first() {
            let part = &mut parts[index];
            // A line without a time belongs to the one before it.
            if self.step(part) {
                queue.insert((part.next().unwrap_or(time), index));
            }
        }
    }

    fn children_first(&mut self, parts: &mut [Part<'_>]) {
        let mut threads = false;
        for root in 0..parts.len() {
            let mut running: Vec<usize> = if parts[root].begun { vec![] } else { vec![root] };
            while let Some(&index) = running.last() {
                let tasks = self.state.tasks.len();
                if !self.step(&mut parts[index]) {
                    running.pop();
                }
                if self.state.tasks.len() <= tasks {
                    continue;
                }
                let children = parts
                    .iter()
                    .enumerate()
                    .filter(|(_, part)| !part.begun && self.state.tasks.contains_key(&part.tid));
                let children: Vec<usize> = children.map(|(index, _)| index).collect();
                for index in children {
                    let tid = parts[index].tid;
                    let task = self.state.tasks.get(&tid);
                    threads |= task.is_some_and(|task| Tid::first_of(task.process) != tid);
                    // Mark the child, so that it is not found again before its first line.
                    parts[index].begun = true;
                    running.push(index);
                }
            }
        }
        if threads {
            let text = "files per process without times (-ttt): the order of calls of different threads is unknown";
            self.state.warnings.push(0, WarningKind::Source(text.to_owned()));
        }
    }
}
