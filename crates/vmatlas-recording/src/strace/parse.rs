//! Parses a line of a log.

use super::cursor::Cursor;
use super::line::{Event, Line, LineError};
use super::value::Value;
use crate::Tid;

impl<'a> Line<'a> {
    /// Parses a line without its line feed.
    ///
    /// ```
    /// use vmatlas_recording::Tid;
    /// use vmatlas_recording::strace::{Event, Line};
    /// let line = Line::parse(b"[pid  42] 10:15:30.5 munmap(0x7f0000000000, 4096) = 0").unwrap();
    /// assert_eq!(line.tid, Some(Tid::new(42)));
    /// let Event::Call(call) = line.event else { panic!() };
    /// assert_eq!(call.arg(1).unwrap().number(), Some(4096));
    /// ```
    ///
    /// # Errors
    /// [`LineError`] if strace does not write such a line.
    pub fn parse(line: &'a [u8]) -> Result<Line<'a>, LineError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let nothing = |event| Line { tid: None, time: None, event };
        if let Some(frame) = line.strip_prefix(b" > ") {
            return Ok(nothing(Event::Frame(frame)));
        }
        if line.trim_ascii().is_empty() {
            return Ok(nothing(Event::Other));
        }
        if let Some(message) = line.strip_prefix(b"strace: ") {
            return Ok(nothing(attached(message)));
        }
        let mut cursor = Cursor::of(line);
        let tid = cursor.tid();
        let time = cursor.time(tid.is_some());
        cursor.brackets();
        let event = cursor.event()?;
        Ok(Line { tid, time, event })
    }
}

/// The event that a message of strace reports.
fn attached(message: &[u8]) -> Event<'_> {
    let tid = message.strip_prefix(b"Process ").map(Value).and_then(Value::number);
    match tid.and_then(|tid| u32::try_from(tid).ok()) {
        Some(tid) if message.ends_with(b" attached") => Event::Attached(Tid::new(tid)),
        _ => Event::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strace::line::{Outcome, Stamp};

    #[track_caller]
    fn check(line: &str, expect: &str) {
        let shown = match Line::parse(line.as_bytes()) {
            Err(error) => error.to_string(),
            Ok(line) => {
                let time = match line.time {
                    None => String::new(),
                    Some(Stamp::Clock(time)) => format!("{:.6} ", time.as_secs_f64()),
                    Some(Stamp::Since(time)) => format!("+{:.6} ", time.as_secs_f64()),
                };
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let event = match line.event {
                    Event::Call(call) => {
                        let mut args = Vec::new();
                        while let Some(arg) = call.arg(args.len()) {
                            args.push(text(arg.0));
                        }
                        let result = match call.result {
                            Outcome::Ok(value) => text(value.0),
                            Outcome::Failed(errno) => format!("{errno:?}"),
                            Outcome::Unknown => "?".into(),
                        };
                        format!("{} | {} | {result}", call.name, args.join(" ; "))
                    }
                    Event::Begun(begun) => format!("{} | {} …", begun.name, text(begun.args)),
                    Event::Resumed { name, rest } => format!("… {name} | {}", text(rest)),
                    other => format!("{other:?}"),
                };
                format!("{} {time}{event}", line.tid.map_or("-".into(), |tid| tid.to_string()))
            }
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn calls() {
        check(
            "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3</a,b (c)>, 0) = 0x7f14",
            "- mmap | NULL ; 8192 ; PROT_READ|PROT_WRITE ; MAP_PRIVATE ; 3</a,b (c)> ; 0 | 0x7f14",
        );
        check(
            r#"30467 execve("/usr/bin/bash", ["bash", "-c", "x=$(\"hi, ("...], 0x55 /* 37 ) */) = 0"#,
            r#"30467 execve | "/usr/bin/bash" ; ["bash", "-c", "x=$(\"hi, ("...] ; 0x55 /* 37 ) */ | 0"#,
        );
        check("brk(0x55fc) = -1 ENOMEM (Cannot allocate memory)", "- brk | 0x55fc | Some(ENOMEM)");
        check("7 exit_group(0)                           = ?", "7 exit_group | 0 | ?");
        check("fork() = 12", "- fork |  | 12");
        check("mmap(0, 21<<MAP_HUGE_SHIFT, 3) = 1", "- mmap | 0 ; 21<<MAP_HUGE_SHIFT ; 3 | 1");
        check(
            "wait4(-1, 0x7ff, 0) = ? ERESTARTSYS (To be restarted)",
            "- wait4 | -1 ; 0x7ff ; 0 | ?",
        );
    }

    #[test]
    fn prefixes() {
        check("[pid  6809] getpid() = 1", "6809 getpid |  | 1");
        check("[pid 6809<a b>] getpid() = 1", "6809 getpid |  | 1");
        check(
            "6641<bash> 01:43:23.800803 (+     0.000341) [  12] [00007f8f11a49c47] brk(NULL) = 0x5 <0.000006>",
            "6641 6203.800803 brk | NULL | 0x5 <0.000006>",
        );
        check("6674  1795311803.832285 brk(NULL) = 0x5", "6674 1795311803.832285 brk | NULL | 0x5");
        check("10:00:00 brk(NULL) = 0x5", "- 36000.000000 brk | NULL | 0x5");
        check("     0.000154 brk(NULL) = 0x5", "- +0.000154 brk | NULL | 0x5");
        check("17 0.5 brk(NULL) = 0x5", "17 +0.500000 brk | NULL | 0x5");
        check("[????????????????] brk(NULL) = 0x5", "- brk | NULL | 0x5");
    }

    #[test]
    fn other_lines() {
        check("7 read(3,  <unfinished ...>", "7 read | 3, …");
        check("7 <... read resumed>\"\", 9) = 0", "7 … read | \"\", 9) = 0");
        check("7 +++ exited with 0 +++", "7 Ended");
        check("7 +++ superseded by execve in pid 9 +++", "7 Superseded { by: Tid(9) }");
        check("7 --- SIGCHLD {si_signo=SIGCHLD} ---", "7 Other");
        check("strace: Process 6809 attached", "- Attached(Tid(6809))");
        check(
            " > /lib/libc.so.6(mmap+0x1a) [0x1186a]",
            "- Frame([47, 108, 105, 98, 47, 108, 105, 98, 99, 46, 115, 111, 46, 54, 40, 109, 109, 97, 112, 43, 48, 120, 49, 97, 41, 32, 91, 48, 120, 49, 49, 56, 54, 97, 93])",
        );
        check("clone(flags=SIGCHLDstrace: Process 68 attached", "- clone | flags=SIGCHLD …");
    }

    #[test]
    fn lines_of_something_else() {
        check("hello", "column 6: not a line of strace: no call begins here");
        check(
            "1000-2000 r--p 00000000 00:00 0",
            "column 1: not a line of strace: no call begins here",
        );
        check("7 read(3, \"abc", "column 8: the arguments have no end");
        check("f(x) and so on", "column 5: the call has no result");
    }
}
