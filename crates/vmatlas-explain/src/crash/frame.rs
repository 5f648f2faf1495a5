//! Parses the stack frames that tools print.

use crate::crash::SymbolFrame;
use crate::crash::words::{hex, hex_after, leading_hex, split, split_last, string, take_while};

/// The text after `#12 ` in a line that begins with a frame number.
pub(super) fn numbered(line: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = take_while(line.trim_ascii().strip_prefix(b"#")?, |b| b.is_ascii_digit());
    let rest = rest.strip_prefix(b" ")?;
    (!digits.is_empty()).then(|| rest.trim_ascii_start())
}

/// Parses the frames of sanitizers (sanitizer_stacktrace_printer.cpp):
/// `0x55839c78039f in main /src/s.c:11`,
/// `0x55839c780160 in _start (/src/asan+0x1160) (BuildId: 9f2c)`, `w /src/s.c:6 (tsan+0x1230)`.
pub(super) fn of_sanitizer(text: &[u8]) -> SymbolFrame {
    let (pc, rest) = counter(text);
    let rest = split(rest, " (BuildId: ").map_or(rest, |(rest, _)| rest);
    let (rest, module) = match split_last(rest, "(").filter(|_| rest.ends_with(b")")) {
        Some((before, inner)) if module_and_offset(inner).is_some() => {
            (before.trim_ascii(), module_and_offset(inner))
        }
        _ => (rest, None),
    };
    let rest = rest.strip_suffix(b" <null>").unwrap_or(rest);
    let (function, source) = function_and_source(rest);
    SymbolFrame {
        pc,
        module: module.map(|(module, _)| string(module)).unwrap_or_default(),
        offset: module.map(|(_, offset)| offset),
        function: Some(function)
            .filter(|f| *f != b"(<unknown module>)")
            .map(string)
            .unwrap_or_default(),
        source: source.map(string),
        ..SymbolFrame::default()
    }
}

/// Splits the leading `0x1234 in ` off; returns the address and the rest.
fn counter(text: &[u8]) -> (Option<u64>, &[u8]) {
    let (word, rest) = split(text, " ").unwrap_or((text, b""));
    let Some(pc) = word.strip_prefix(b"0x").and_then(hex) else { return (None, text) };
    let rest = rest.trim_ascii();
    (Some(pc), rest.strip_prefix(b"in ").unwrap_or(rest))
}

/// Parses `/src/asan+0x1160)`.
fn module_and_offset(inner: &[u8]) -> Option<(&[u8], u64)> {
    let (module, offset) = split_last(inner.strip_suffix(b")")?, "+0x")?;
    Some((module, hex(offset)?))
}

/// Splits the name of a function, which may contain blanks, from a file and line after it.
fn function_and_source(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some((before, last)) = split_last(text, " ") else { return (text, None) };
    // An absolute path may contain blanks; the name of a function contains no ` /`.
    let (before, last) = match split(text, " /") {
        Some((before, _)) => (before, text.get(before.len() + 1..).unwrap_or(last)),
        None => (before, last),
    };
    let line = split_last(last, ":").is_some_and(|(_, n)| n.iter().all(u8::is_ascii_digit));
    if line || last.starts_with(b"/") { (before, Some(last)) } else { (text, None) }
}

/// Parses the frames of gdb: `0x000055d0c0000217 in main (argc=1) at s.c:11`,
/// `main () from /lib/libc.so.6`.
pub(super) fn of_gdb(text: &[u8]) -> SymbolFrame {
    let (pc, rest) = counter(text);
    let (rest, source) = match split_last(rest, " at ") {
        Some((rest, source)) => (rest, Some(source)),
        None => (rest, None),
    };
    let (rest, module) = match split_last(rest, " from ") {
        Some((rest, module)) => (rest, Some(module)),
        None => (rest, None),
    };
    let function = split(rest, " (").map_or(rest, |(function, _)| function);
    SymbolFrame {
        pc,
        module: module.map(string).unwrap_or_default(),
        function: Some(function).filter(|name| *name != b"??").map(string).unwrap_or_default(),
        source: source.map(string),
        ..SymbolFrame::default()
    }
}

/// Parses the frames of systemd-coredump: `0x00007f4b469f3ad8 abort (libc.so.6 + 0x22ad8)`,
/// `… n/a (…)`.
pub(super) fn of_systemd(text: &[u8]) -> SymbolFrame {
    let (pc, rest) = counter(text);
    let (function, module) = match split_last(rest, " (") {
        Some((function, inner)) => (function, inner.strip_suffix(b")").unwrap_or(inner)),
        None => (rest, b"".as_slice()),
    };
    let (module, offset) = split_last(module, " + ").unwrap_or((module, b""));
    let module = Some(module).filter(|name| !matches!(*name, b"" | b"n/a"));
    SymbolFrame {
        pc,
        module: module.map(string).unwrap_or_default(),
        offset: hex(offset).filter(|_| module.is_some()),
        function: Some(function).filter(|name| *name != b"n/a").map(string).unwrap_or_default(),
        ..SymbolFrame::default()
    }
}

/// Parses the frames of backtrace_symbols(3): `/lib/libc.so.6(abort+0x175)[0x7f4b469f3ad8]`. Some
/// tools print a blank before the bracket, and some append the source.
pub(super) fn of_glibc(text: &[u8]) -> Option<SymbolFrame> {
    let (before, behind) = split_last(text, "[0x")?;
    let pc = leading_hex(behind)?;
    let (_, source) = split(behind, "]")?;
    let (module, inner) = match split(before, "(") {
        Some((module, inner)) => (module, inner.trim_ascii_end().strip_suffix(b")")?),
        None => (before.trim_ascii_end(), b"".as_slice()),
    };
    // Ruby prints an offset or the address if the function is unknown.
    let alone = hex(inner).filter(|_| inner.starts_with(b"0x"));
    let (function, offset) = match (alone, split_last(inner, "+")) {
        (Some(_), _) => (b"".as_slice(), inner),
        (None, Some(parts)) => parts,
        (None, None) => (inner, b"".as_slice()),
    };
    let path = module.starts_with(b"/") || module.starts_with(b".") || !module.contains(&b' ');
    (path && !module.is_empty()).then(|| SymbolFrame {
        pc: Some(pc),
        module: string(module),
        // After the name of a function, the offset counts from the function.
        offset: hex(offset).filter(|&offset| function.is_empty() && offset != pc),
        function: string(function),
        source: Some(source.trim_ascii()).filter(|source| !source.is_empty()).map(string),
        ..SymbolFrame::default()
    })
}

/// Parses the frames of programs that embed V8: ` 1: 0xb09980 node::Abort() [node]`.
pub(super) fn of_v8(text: &[u8]) -> Option<SymbolFrame> {
    let (number, rest) = take_while(text.trim_ascii_start(), |b| b.is_ascii_digit());
    let rest = rest.strip_prefix(b": 0x").filter(|_| !number.is_empty())?;
    let pc = leading_hex(rest)?;
    let (_, rest) = split(rest, " ")?;
    let (function, module) = split_last(rest, "[").unwrap_or((rest, b""));
    let function = function.trim_ascii();
    Some(SymbolFrame {
        pc: Some(pc),
        module: module.strip_suffix(b"]").map(string).unwrap_or_default(),
        function: string(function),
        ..SymbolFrame::default()
    })
}

/// Parses the frames of HotSpot (`frame::print_on_error`):
/// `V  [libjvm.so+0xed27f4]  Unsafe_PutInt+0x124`, `j  Crash.write(J)V+6`, `C  0x1234`,
/// `J 12 c1 java.lang.String.length()I java.base@17 (11 bytes) @ 0x00007f… [0x00007f…+0x2a]`.
pub(super) fn of_hotspot(text: &[u8]) -> Option<SymbolFrame> {
    let (sort, rest) = match text {
        [sort @ (b'V' | b'C' | b'j' | b'J' | b'v' | b'A' | b'a' | b'i'), b' ', rest @ ..] => {
            (*sort, rest.trim_ascii())
        }
        _ => return None,
    };
    let mut frame = SymbolFrame::default();
    let mut function = rest;
    if let Some((inner, behind)) = rest.strip_prefix(b"[").and_then(|rest| split(rest, "]")) {
        let (module, offset) = split_last(inner, "+0x")?;
        frame.module = string(module);
        frame.offset = hex(offset);
        function = behind.trim_ascii();
    } else if let Some(pc) = rest.strip_prefix(b"0x") {
        frame.pc = leading_hex(pc);
        function = b"";
    } else {
        frame.pc = hex_after(rest, " @ 0x");
    }
    if matches!(sort, b'J' | b'A' | b'a') {
        function = compiled_method(function);
    }
    // Newer versions print the source after two blanks.
    if let Some((name, source)) = split_last(function, "  (") {
        frame.source = source.strip_suffix(b")").map(string);
        function = name;
    }
    let function = split_last(function, "+0x").map_or(function, |(name, _)| name);
    frame.function = string(function);
    Some(frame)
}

/// The method in `12% c1 java.lang.String.length()I java.base@17 (11 bytes) @ 0x… [0x…+0x2a]`: the
/// number of the compilation, its kinds and the compiler stand before it (`CompileTask::print`,
/// `nmethod::print_on` of JDK 8 to 24), its module and size after it.
fn compiled_method(text: &[u8]) -> &[u8] {
    let rest = split(text, " @ 0x").map_or(text, |(rest, _)| rest);
    let is_size = |inner: &[u8]| inner.ends_with(b" bytes)");
    let rest = split_last(rest, " (").filter(|(_, inner)| is_size(inner)).map_or(rest, |(m, _)| m);
    let is_before = |word: &[u8]| {
        let (_, kinds) = take_while(word, |b| b.is_ascii_digit());
        kinds.iter().all(|b| matches!(b, b'%' | b'!' | b's' | b'b' | b'n'))
            || matches!(word, b"c1" | b"c2" | b"C1" | b"C2" | b"jvmci" | b"JVMCI")
    };
    let words = rest.split(|&b| b == b' ').filter(|word| !word.is_empty());
    words.into_iter().find(|word| !is_before(word)).unwrap_or_default()
}
