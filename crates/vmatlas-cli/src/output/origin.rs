//! Who made some bytes, as JSON and in a line.

use crate::output::json::Hex;
use serde::Serialize;
use vmatlas::recording::Maker;
use vmatlas::{Made, SymbolFrame, words};

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
            offset: Hex(frame.shown_offset()),
            source: frame.source.as_deref(),
            inlined: frame.inlined,
        }
    }
}

impl<'a> OriginJson<'a> {
    /// Of some bytes.
    pub(crate) fn of(made: &Made<'a>) -> OriginJson<'a> {
        let (range, origin, task) = (made.range(), made.origin(), made.task());
        let told = Some(origin).filter(|origin| origin.event != 0);
        OriginJson {
            start: Hex(range.start),
            end: Hex(range.end),
            bytes: range.size(),
            event: told.map(|origin| origin.event),
            time_s: told.filter(|_| made.is_timed()).map(|origin| origin.time_ns as f64 / 1e9),
            pid: task.map(|task| task.pid).filter(|pid| *pid != 0),
            tid: task.map(|task| task.tid).filter(|tid| *tid != 0),
            comm: task.map(|task| String::from_utf8_lossy(&task.comm).into_owned()),
            syscall: match origin.maker {
                Maker::Call(_) | Maker::Exec => Some(origin.maker.name()),
                _ => None,
            },
            stack: made.frames().iter().map(FrameJson::of).collect(),
            how: origin.how(),
        }
    }

    /// The same in words, without the stack.
    pub(crate) fn line(&self) -> String {
        let event = match self.event {
            Some(event) => format!(", event {event}"),
            None if self.how == "unseen" => return "no event tells who made it".to_owned(),
            None => String::new(),
        };
        let what = match (self.syscall, self.how) {
            (Some(call), "inherited") => format!("{call}, inherited by fork"),
            (Some(call), _) => call.to_owned(),
            (None, _) => "there before the recording".to_owned(),
        };
        let time = self.time_s.map_or_else(String::new, |time_s| format!(", {time_s:.3} s"));
        let comm = words::printable(self.comm.as_deref().unwrap_or_default().as_bytes());
        let thread = match self.tid {
            Some(tid) => format!(", thread {tid} {comm}"),
            None if comm.is_empty() => String::new(),
            None => format!(", {comm}"),
        };
        format!("{what}{event}{time}{thread}")
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
