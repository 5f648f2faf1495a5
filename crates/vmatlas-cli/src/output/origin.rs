//! The origin of some bytes, as JSON and on one line.

use crate::output::json::Hex;
use serde::Serialize;
use vmatlas::recording::Maker;
use vmatlas::{Made, SymbolFrame};

/// Bytes that share an origin. The origins of a mapping cover each byte once.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct OriginJson<'a> {
    pub(crate) start: Hex,
    pub(crate) end: Hex,
    pub(crate) bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) syscall: Option<&'static str>,
    stack: Vec<FrameJson<'a>>,
    pub(crate) how: &'static str,
}

/// A frame of a stack.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Converts the origin of some bytes.
    pub(crate) fn of(made: &Made<'a>) -> OriginJson<'a> {
        let (range, origin, task) = (made.range(), made.origin(), made.task());
        let with_event = Some(origin).filter(|origin| !origin.event.is_none());
        OriginJson {
            start: Hex(range.start),
            end: Hex(range.end),
            bytes: range.size(),
            event: with_event.map(|origin| origin.event.get()),
            time_s: with_event
                .filter(|_| made.is_timed())
                .map(|origin| origin.time_ns as f64 / 1e9),
            pid: task.map(|task| task.pid).filter(|pid| *pid != 0),
            tid: task.map(|task| task.tid.get()).filter(|tid| *tid != 0),
            comm: task.map(|task| String::from_utf8_lossy(&task.comm).into_owned()),
            syscall: match origin.maker {
                Maker::Call(_) | Maker::Exec => Some(origin.maker.name()),
                _ => None,
            },
            stack: made.frames().iter().map(FrameJson::of).collect(),
            how: origin.how(),
        }
    }
}

impl OriginJson<'_> {
    /// The frames on one line, the outermost first, as in folded stacks.
    pub(crate) fn folded(&self) -> String {
        let frames = self.stack.iter().rev().map(FrameJson::line);
        frames.collect::<Vec<_>>().join(";")
    }
}

impl FrameJson<'_> {
    /// The frame on one line.
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
