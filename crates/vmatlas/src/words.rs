//! Values in the words of people: the one place where texts are made of them, for every view.
//!
//! Nothing here breaks lines, knows a width or a color. What comes from outside is
//! [escaped](printable).

use crate::recorded::{Ending, Made};
use crate::row::Row;
use crate::sections::Section;
use crate::source::SourceKind;
use crate::stacks::telling;
use vmatlas_explain::label::Labelled;
use vmatlas_linux::symbols::SymbolFrame;
use vmatlas_maps::{Kind, Perms, escape};
use vmatlas_recording::{Maker, TaskEntry};

/// A size in bytes, short: `132K`, `1.3M`, `12G`; powers of 1024.
pub fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut value = bytes as f64;
    let mut unit = ' ';
    for next in ['K', 'M', 'G', 'T', 'P', 'E'] {
        // Three digits and the unit: 999.5K is 1.0M.
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 9.95 && value.fract() != 0.0 {
        format!("{value:.1}{unit}")
    } else {
        format!("{value:.0}{unit}")
    }
}

/// A number of things: `1 mapping`, `2 mappings`.
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A moment of a recording, from nanoseconds.
pub fn seconds(time_ns: u64) -> String {
    format!("{:.3} s", time_ns as f64 / 1e9)
}

/// How a process ended, from its status of wait(2).
pub fn status(status: i32) -> String {
    match status & 0x7f {
        0 => format!("exit {}", status >> 8 & 0xff),
        signal => format!("signal {signal}"),
    }
}

/// A share in percent.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { format!("{:.1}%", part as f64 * 100.0 / whole as f64) }
}

/// Bytes from outside, made harmless for a terminal: see [`escape::printable`].
pub fn printable(bytes: &[u8]) -> String {
    escape::printable(bytes).to_string()
}

/// A name for people: [`printable`], and blanks at its end can be seen.
pub fn name(bytes: &[u8]) -> String {
    escape::name(bytes).to_string()
}

/// The function of a frame, or its place where it has no name.
pub fn function(frame: &SymbolFrame) -> String {
    if frame.function.is_empty() {
        let file = frame.module.rsplit('/').next().unwrap_or_default();
        return printable(format!("{file}+{:#x}", frame.shown_offset()).as_bytes());
    }
    printable(frame.function.as_bytes())
}

/// The function without its parameters, for a line of several.
pub fn short_function(frame: &SymbolFrame) -> String {
    let name = function(frame);
    // `operator()` and `(anonymous namespace)` begin with a parenthesis that is no list.
    let mut depth = 0_u32;
    let list = name.char_indices().find(|&(at, c)| {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let before = &name[..at];
        let is_name = before.is_empty() || before.ends_with("operator") || before.ends_with("::");
        c == '(' && depth == 0 && !is_name
    });
    list.map_or(name.clone(), |(at, _)| name[..at].to_owned())
}

/// The last part of a module's path.
pub fn module_name(frame: &SymbolFrame) -> String {
    printable(frame.module.rsplit('/').next().unwrap_or_default().as_bytes())
}

/// How many frames stand in a line that says where a mapping was made.
const FRAMES: usize = 2;
/// How many labels of a row's parts stand in a line.
const PARTS: usize = 3;

/// Bytes in hexadecimal, as build ids are written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a row is for, in a line; of several parts the first ones, and how much is unexplained. It
/// may hold names that the process chose: escape it for terminals.
pub fn labels(row: &Row<'_>) -> String {
    let mut texts: Vec<&str> = Vec::new();
    let mut rest = row.range.size();
    for Labelled { range, label } in row.labels() {
        rest = rest.saturating_sub(range.size());
        if texts.len() <= PARTS && !texts.contains(&label.text.as_str()) {
            texts.push(&label.text);
        }
    }
    let mut text = texts[..texts.len().min(PARTS)].join("; ");
    if texts.len() > PARTS {
        text.push_str(&format!("; {} parts in all", row.labels().len()));
    }
    if !texts.is_empty() && rest > 0 && !row.tells_its_purpose() {
        text.push_str(&format!("; {} unexplained", size(rest)));
    }
    text
}

/// The names of sections, the largest first.
pub fn sections(sections: &[Section]) -> String {
    let names = sections.iter().map(|section| printable(section.name.as_bytes()));
    names.collect::<Vec<_>>().join(" ")
}

/// Who made a row, in a line; of several who made the most of it.
pub fn origins(row: &Row<'_>) -> String {
    let mut made = row.made();
    let Some((first, _)) = made.next() else { return String::new() };
    let line = origin(&first, FRAMES);
    match made.len() {
        0 => line,
        more => format!("{line}, and {more} more"),
    }
}

/// Who made some bytes, in a line: the call, when, the thread, and at most `most` functions.
pub fn origin(made: &Made<'_>, most: usize) -> String {
    let origin = made.origin();
    let inherited = if origin.inherited { ", inherited by fork" } else { "" };
    let call = match origin.maker {
        Maker::Unseen => return "no event tells who made it".to_owned(),
        Maker::Before if made.source() == SourceKind::Log => {
            return format!("there before the log{inherited}");
        }
        Maker::Before => return format!("there before the recording{inherited}"),
        maker => maker.name(),
    };
    let when =
        if made.is_timed() { format!("{} ", seconds(origin.time_ns)) } else { String::new() };
    let line = format!("{call} #{} {when}{}{inherited}", origin.event, thread(made.task()));
    with_functions(line, made.frames(), most)
}

/// What ended a mapping, in a line.
pub fn ending(ending: &Ending) -> String {
    let call = ending.call.unwrap_or("the kernel");
    let (when, thread) = (seconds(ending.time_ns), thread(ending.task.as_ref()));
    let line = format!("by {call} #{} {when} {thread}", ending.event);
    with_functions(line, &ending.frames, FRAMES)
}

/// A line, and behind it the functions that say most of a stack.
fn with_functions(line: String, frames: &[SymbolFrame], most: usize) -> String {
    let names: Vec<String> = telling(frames).iter().take(most).map(short_function).collect();
    if names.is_empty() { line } else { format!("{line}: {}", names.join(" < ")) }
}

/// A thread, as `NAME (TID)`.
pub fn thread(task: Option<&TaskEntry>) -> String {
    match task {
        Some(task) if task.tid == 0 => printable(&task.comm),
        Some(task) if task.comm.is_empty() => format!("thread {}", task.tid),
        Some(task) => format!("{} ({})", printable(&task.comm), task.tid),
        None => "unknown".to_owned(),
    }
}

/// A distance or length in bytes; large ones also short.
pub fn bytes(count: u64) -> String {
    if count < 1024 {
        format!("{count} bytes")
    } else {
        format!("{count:#x} bytes ({})", size(count))
    }
}

/// What a mapping is, as a part of a sentence.
pub fn mapping(row: &Row<'_>) -> String {
    if !row.tells_its_purpose()
        && let Some(label) = row.label()
    {
        return printable(label.text.as_bytes());
    }
    let perms = row.perms;
    match row.kind() {
        Kind::File | Kind::Device => {
            let inode = row.mapping().inode;
            let path = row.path().map_or_else(|| format!("inode {inode}"), |path| path.display());
            let gone = match row.is_deleted() {
                Some(true) => ", which is deleted",
                Some(false) => "",
                None => ", which is deleted unless \" (deleted)\" is a part of its name",
            };
            format!("{} {path}{gone}", perms.part_of_file())
        }
        Kind::Anonymous if perms.none() => {
            "addresses without a name that nothing may be done at (reserved or a guard)".to_owned()
        }
        Kind::Anonymous => "memory without a name".to_owned(),
        Kind::Heap => "the heap".to_owned(),
        Kind::Stack => "the stack of the first thread".to_owned(),
        Kind::ThreadStack { tid } => format!("the stack of thread {tid}"),
        Kind::NamedAnonymous { name } => format!("memory named {:?}", printable(name)),
        Kind::NamedSharedAnonymous { name } => format!("shared memory named {:?}", printable(name)),
        Kind::SharedAnonymous => "shared memory without a name".to_owned(),
        Kind::Memfd { name } => format!("memfd {:?}", printable(name)),
        Kind::SysvShm { key, id } => format!("System V shared memory, key {key:#x}, id {id}"),
        Kind::HugeAnonymous => "huge pages without a name".to_owned(),
        Kind::Vdso => "the kernel's code for user space, [vdso]".to_owned(),
        Kind::Vvar => "the kernel's data for [vdso]".to_owned(),
        Kind::Vsyscall => "the legacy gate page [vsyscall]".to_owned(),
        Kind::Secretmem => "secret memory (memfd_secret)".to_owned(),
        Kind::Aio => "a ring of asynchronous input and output".to_owned(),
        kind => format!("{} {}", kind.word(), printable(row.name)),
    }
}

/// What may be done with memory and what not: `read and written, not executed`.
pub fn rights(perms: Perms) -> String {
    let all = [("read", perms.read()), ("written", perms.write()), ("executed", perms.execute())];
    let list = |may: bool, and: &str| {
        let words: Vec<&str> =
            all.iter().filter(|(_, set)| *set == may).map(|(word, _)| *word).collect();
        words.join(and)
    };
    match (list(true, " and "), list(false, " or ")) {
        (may, not) if not.is_empty() => may,
        (may, not) if may.is_empty() => format!("neither {}", not.replace(" or ", " nor ")),
        (may, not) => format!("{may}, not {not}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown = [0, 1023, 1024, 4096, 135168, 1363149, 1023 * 1024, 1 << 30, 3 << 40, u64::MAX]
            .map(size);
        assert_eq!(shown, ["0", "1023", "1K", "4K", "132K", "1.3M", "1.0M", "1G", "3T", "16E"]);
    }
}
