//! Who made some bytes, as JSON and in a line.

use crate::output::json::Hex;
use crate::output::words;
use crate::recording::Recorded;
use serde::Serialize;
use vmatlas::AddressRange;
use vmatlas::recording::{Maker, Origin};
use vmatlas_linux::symbols::SymbolFrame;

/// Bytes of one origin: every byte of a mapping is in one of these.
#[derive(Serialize)]
pub(crate) struct OriginJson<'a> {
    start: Hex,
    end: Hex,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syscall: Option<&'static str>,
    pub(crate) stack: Vec<FrameJson<'a>>,
    how: &'static str,
}

/// A frame of a stack.
#[derive(Serialize)]
pub(crate) struct FrameJson<'a> {
    function: &'a str,
    module: &'a str,
    offset: Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    inlined: bool,
}

impl<'a> FrameJson<'a> {
    pub(crate) fn of(frame: &'a SymbolFrame) -> FrameJson<'a> {
        FrameJson {
            function: &frame.function,
            module: &frame.module,
            offset: Hex(frame.offset),
            source: frame.source.as_deref(),
            inlined: frame.inlined,
        }
    }
}

impl<'a> OriginJson<'a> {
    /// Of the bytes of a process of a recording.
    pub(crate) fn of(
        recorded: &'a Recorded,
        range: AddressRange,
        origin: &Origin,
    ) -> OriginJson<'a> {
        let definitions = recorded.recording.definitions();
        let task = definitions.tasks.get(origin.task as usize).filter(|_| origin.task != 0);
        let told = (origin.event != 0).then_some(origin);
        OriginJson {
            start: Hex(range.start),
            end: Hex(range.end),
            bytes: range.size(),
            event: told.map(|origin| origin.event),
            time_s: told.map(|origin| origin.time_ns as f64 / 1e9),
            pid: task.map(|task| task.pid),
            tid: task.map(|task| task.tid),
            comm: task.map(|task| String::from_utf8_lossy(&task.comm).into_owned()),
            syscall: match origin.maker {
                Maker::Call(_) | Maker::Exec => Some(origin.maker.name()),
                _ => None,
            },
            stack: recorded.frames(origin).iter().map(FrameJson::of).collect(),
            how: origin.how(),
        }
    }

    /// The same in words, without the stack.
    pub(crate) fn line(&self) -> String {
        let (Some(event), Some(time_s)) = (self.event, self.time_s) else {
            return "no event tells who made it".to_owned();
        };
        let what = match (self.syscall, self.how) {
            (Some(call), "inherited") => format!("{call}, inherited by fork"),
            (Some(call), _) => call.to_owned(),
            (None, _) => "there before the recording".to_owned(),
        };
        let comm = words::printable(self.comm.as_deref().unwrap_or_default().as_bytes());
        let tid = self.tid.unwrap_or(0);
        format!("{what}, event {event}, {time_s:.3} s, thread {tid} {comm}")
    }
}

impl FrameJson<'_> {
    /// The same in words.
    pub(crate) fn line(&self) -> String {
        let module = self.module.rsplit('/').next().unwrap_or_default();
        let name = if self.function.is_empty() {
            format!("{module}+{:#x}", self.offset.0)
        } else if self.inlined {
            format!("{} (inlined)", self.function)
        } else {
            format!("{}+{:#x} ({module})", self.function, self.offset.0)
        };
        self.source.map_or(name.clone(), |source| format!("{name} {source}"))
    }
}
