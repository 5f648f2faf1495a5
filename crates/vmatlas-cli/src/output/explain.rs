//! The answer of `vmatlas explain`.

use super::Answer;
use super::fit::Fit;
use super::json::formatter::Addresses;
use super::json::{self, Hex, Schema, WarningJson};
use super::origin::FrameJson;
use super::style::{self, Paint};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::crashes::{Access, CrashSource, Sender};
use vmatlas::explain::{Around, around};
use vmatlas::words::{function, module_name, printable, size};
use vmatlas::{Case, Note, SymbolFrame};

/// The most columns of the paragraph.
const WIDTH: usize = 100;
/// The most rows to show on each side of the address.
const ROWS: usize = 2;

/// The crashes of an input.
pub(crate) struct Explain<'a> {
    pub(crate) cases: &'a [Case],
    /// Why there is none.
    pub(crate) none: Option<String>,
    /// What was noted about the input.
    pub(crate) notes: &'a [Note],
    /// The most frames to show for a stack.
    pub(crate) top: usize,
}

impl Answer for Explain<'_> {
    fn text(&self, paint: Paint) -> String {
        let texts = self.cases.iter().map(|case| text(case, self.top, paint));
        texts.collect::<Vec<_>>().join("\n")
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let mut cases = self.cases.iter().map(case_json);
        let mut first = cases.next();
        if let Some(first) = &mut first {
            let of_input = self.notes.iter().map(WarningJson::of);
            first.warnings.splice(0..0, of_input);
        }
        let (no_crash, more) = (self.none.as_deref(), cases.collect());
        json::write(out, addresses, &Document { schema: Schema, no_crash, first, more })
    }
}

/// Formats the paragraph, the conclusion, the facts, the map around the address and the stack.
fn text(case: &Case, top: usize, paint: Paint) -> String {
    let explanation = &case.explanation;
    let fit = Fit::of_stdout();
    let paragraph = printable(explanation.paragraph.as_bytes());
    let mut text = fit.at_most(WIDTH).whole_lines(&paragraph).join("\n") + "\n\n";
    let mut line = |word: &str, value: &str| {
        let value = printable(value.as_bytes());
        for (at, part) in fit.behind(16).whole_lines(&value).into_iter().enumerate() {
            let word = if at == 0 { word } else { "" };
            let _ = writeln!(text, "  {} {part}", paint.dim(&format!("{word:<13}")));
        }
    };
    let cause = explanation.cause.word();
    line("cause", &format!("{cause} ({}: {})", explanation.confidence, explanation.because));
    for (name, value) in &explanation.facts {
        // A message may have several lines; a name must stay on one.
        let parts = if *name == "said" { value.lines().collect() } else { vec![&**value] };
        for (at, part) in parts.into_iter().enumerate() {
            line(if at == 0 { name } else { "" }, part);
        }
    }
    if let Some(address) = case.fault.address.filter(|_| explanation.map_shows_address) {
        map(&mut text, case, address, paint);
    }
    stack(&mut text, case, top, paint);
    text
}

/// Shows the rows around the address, with an arrow at the address.
fn map(text: &mut String, case: &Case, address: u64, paint: Paint) {
    let lines = around(&case.maps, address, ROWS);
    if lines.is_empty() {
        return;
    }
    text.push('\n');
    for line in lines {
        let arrow = if line.here { "--->" } else { "" };
        let _ = writeln!(text, "  {arrow:<4} {}", map_line(case, &line, paint));
    }
}

fn map_line(case: &Case, line: &Around, paint: Paint) -> String {
    let Some(row) = line.row.and_then(|at| case.maps.get(at)) else {
        let start = line.range.start;
        return if line.range.end == u64::MAX {
            paint.dim(&format!("{start:08x}-          nothing is mapped"))
        } else {
            let gap = format!("{} nothing is mapped, {}", line.range, size(line.range.size()));
            paint.dim(&gap)
        };
    };
    let range = paint.paint(style::of(&row), &row.range.to_string());
    let name = printable(row.name);
    format!("{range} {} {:>6} {name}", row.perms, size(row.range.size())).trim_end().to_owned()
}

fn stack(text: &mut String, case: &Case, most: usize, paint: Paint) {
    if case.stack.is_empty() {
        return;
    }
    text.push('\n');
    for (number, frame) in case.stack.iter().take(most).enumerate() {
        let module = if frame.inlined { "inlined".to_owned() } else { module_name(frame) };
        let _ = write!(text, "  #{number:<3} {} ({module})", named(frame));
        if let Some(source) = &frame.source {
            let source = source.rsplit('/').next().unwrap_or_default();
            let _ = write!(text, " {}", paint.dim(&printable(source.as_bytes())));
        }
        if is_guessed(case, number) {
            text.push_str(", perhaps");
        }
        text.push('\n');
    }
    if case.stack.len() > most {
        let _ = writeln!(text, "  and {} more (--top)", case.stack.len() - most);
    }
}

/// Whether a frame of the stack may be left over from an earlier call.
fn is_guessed(case: &Case, number: usize) -> bool {
    case.guessed_from.is_some_and(|from| number >= from)
}

/// The function, or the place in the module. An address that is no offset in a file stands alone.
fn named(frame: &SymbolFrame) -> String {
    let offset = frame.offset.filter(|offset| Some(*offset) != frame.pc);
    match frame.pc.filter(|_| frame.function.is_empty() && offset.is_none()) {
        Some(pc) => format!("{pc:#x}"),
        None if frame.function.is_empty() && frame.module.is_empty() => "?".to_owned(),
        None => function(frame),
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct CaseJson<'a> {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    /// The signal by which a handler of `signal` ended the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    /// Who sent the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<SenderJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction: Option<&'a str>,
    cause: &'static str,
    confidence: &'static str,
    because: &'a str,
    conclusion: &'a str,
    paragraph: &'a str,
    facts: BTreeMap<&'static str, &'a str>,
    map: Vec<AroundJson>,
    stack: Vec<StackFrameJson<'a>>,
    /// Warnings about this crash.
    warnings: Vec<WarningJson>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SenderJson {
    pid: u32,
    uid: u32,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct StackFrameJson<'a> {
    #[serde(flatten)]
    frame: FrameJson<'a>,
    /// Whether the frame may be left over from an earlier call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    guess: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct AroundJson {
    start: Hex,
    end: Hex,
    /// Whether the row holds the address.
    here: bool,
    mapped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    perms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    schema: Schema,
    /// Why no crash is explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_crash: Option<&'a str>,
    /// The first crash of the input.
    #[serde(flatten)]
    first: Option<CaseJson<'a>>,
    /// The further crashes of the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more: Vec<CaseJson<'a>>,
}

fn case_json(case: &Case) -> CaseJson<'_> {
    let (crash, fault, explanation) = (&case.crash, &case.fault, &case.explanation);
    let shown = fault.address.filter(|_| explanation.map_shows_address);
    let map = shown.map(|address| around(&case.maps, address, ROWS)).unwrap_or_default();
    CaseJson {
        source: match crash.source {
            CrashSource::Address => "address",
            CrashSource::Core => "core",
            CrashSource::KernelLog => "kernel-log",
            CrashSource::Tombstone => "tombstone",
            CrashSource::HsErr => "hs-err",
            CrashSource::Sanitizer => "sanitizer",
            CrashSource::Go => "go",
            CrashSource::Runtime => "runtime",
            CrashSource::Apport => "apport",
            CrashSource::Coredump => "systemd-coredump",
            CrashSource::Recording => "recording",
            _ => "log",
        },
        pid: crash.pid,
        tid: crash.tid,
        comm: crash.comm.as_deref().map(|comm| String::from_utf8_lossy(comm).into_owned()),
        signal: crash.signal,
        ended_by: crash.ended_by,
        code: crash.code,
        sender: crash.sender.map(|Sender { pid, uid }| SenderJson { pid, uid }),
        address: fault.address.map(Hex),
        access: fault.access.map(|access| match access {
            Access::Read => "read",
            Access::Write => "write",
            Access::Execute => "execute",
        }),
        ip: crash.ip.map(Hex),
        instruction: fault.instruction.as_ref().map(|found| &*found.text),
        cause: explanation.cause.word(),
        confidence: explanation.confidence.word(),
        because: &explanation.because,
        conclusion: &explanation.conclusion,
        paragraph: &explanation.paragraph,
        facts: explanation.facts.iter().map(|(name, value)| (*name, &**value)).collect(),
        map: map.iter().map(|line| around_json(case, line)).collect(),
        stack: (case.stack.iter().enumerate())
            .map(|(number, frame)| StackFrameJson {
                frame: FrameJson::of(frame),
                guess: is_guessed(case, number),
            })
            .collect(),
        warnings: case.notes.iter().map(WarningJson::of).collect(),
    }
}

fn around_json(case: &Case, line: &Around) -> AroundJson {
    let row = line.row.and_then(|at| case.maps.get(at));
    AroundJson {
        start: Hex(line.range.start),
        end: Hex(line.range.end),
        here: line.here,
        mapped: row.is_some(),
        perms: row.map(|row| row.perms.to_string()),
        name: row.map(|row| String::from_utf8_lossy(row.name).into_owned()),
    }
}
