//! Parsing of crash logs.

use std::fmt::Write;
use std::path::PathBuf;
use vmatlas_explain::crash::{Crash, read_log};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/crashes")
}

fn log(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All fields of a crash, as lines.
fn fields(crashes: &[Crash]) -> String {
    let mut text = String::new();
    for crash in crashes {
        write_fields(&mut text, crash).unwrap();
    }
    text
}

fn write_fields(text: &mut String, crash: &Crash) -> std::fmt::Result {
    write!(text, "{:?}", crash.source)?;
    let numbers = [("pid", crash.pid.map(i64::from)), ("tid", crash.tid.map(i64::from))];
    let signal = [("signal", crash.signal.map(i64::from)), ("code", crash.code.map(i64::from))];
    for (name, value) in numbers.into_iter().chain(signal) {
        value.map(|value| write!(text, " {name} {value}")).transpose()?;
    }
    for (name, value) in [("address", crash.address), ("ip", crash.ip), ("sp", crash.sp)] {
        value.map(|value| write!(text, " {name} {value:#x}")).transpose()?;
    }
    crash.access.map(|access| write!(text, " {access:?}")).transpose()?;
    crash.present.map(|present| write!(text, " present {present}")).transpose()?;
    crash.protection_key.filter(|key| *key).map(|_| write!(text, " key")).transpose()?;
    crash.machine.map(|machine| write!(text, " {machine:?}")).transpose()?;
    writeln!(text)?;
    if let Some(comm) = &crash.comm {
        writeln!(text, "  comm {}", comm.escape_ascii())?;
    }
    if let Some(message) = &crash.message {
        writeln!(text, "  {}", message.replace('\n', "\n  "))?;
    }
    if let Some((name, range)) = &crash.ip_mapping {
        writeln!(text, "  in {} {range}", name.escape_ascii())?;
    }
    if let Some((start, bytes)) = &crash.code_bytes {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "  code {start:#x} {hex}")?;
    }
    for registers in crash.registers.chunks(4) {
        let line: Vec<String> =
            registers.iter().map(|(name, value)| format!("{name} {value:#x}")).collect();
        writeln!(text, "  {}", line.join(" "))?;
    }
    for frame in crash.frames.iter().take(12) {
        write!(text, "  #")?;
        frame.pc.map(|pc| write!(text, " {pc:#x}")).transpose()?;
        let source = frame.source.as_deref().unwrap_or_default();
        let words = [&frame.function, &frame.module, source];
        for (name, word) in ["", "in ", "at "].into_iter().zip(words) {
            (!word.is_empty()).then(|| write!(text, " {name}{word}")).transpose()?;
        }
        frame.offset.map(|offset| write!(text, " +{offset:#x}")).transpose()?;
        writeln!(text)?;
    }
    if crash.frames.len() > 12 {
        writeln!(text, "  {} frames", crash.frames.len())?;
    }
    if !crash.maps.is_empty() {
        writeln!(
            text,
            "  {} mappings, {} warnings",
            crash.maps.len(),
            crash.maps.warnings().len()
        )?;
    }
    Ok(())
}

#[test]
fn each_log_is_understood() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        insta::assert_snapshot!(name.clone(), fields(&read_log(&log(&name))));
    }
}

/// `show` reads the same rows from these logs.
#[test]
fn rows_are_those_of_the_whole_text() {
    for (name, rows) in [("hs_err-null-write.log", 188), ("ruby.log", 158), ("apport.crash", 23)] {
        let text = log(name);
        let [crash] = read_log(&text).try_into().unwrap();
        let whole = vmatlas_maps::Maps::parse(&text).unwrap();
        assert_eq!(whole.len(), rows, "{name}");
        assert!(whole.iter().eq(crash.maps.iter()), "{name}");
    }
}

#[test]
fn the_core_dump_in_a_report_of_apport() {
    let core = |report: &[u8]| {
        vmatlas_explain::crash::apport_core(report)
            .map(|lines| lines.collect::<Result<Vec<_>, _>>().map(|lines| lines.concat()))
    };
    let report = log("apport.crash");
    let gzip = core(&report).unwrap().unwrap();
    // A gzip header with a name; at the end the size of the uncompressed data.
    assert!(gzip.starts_with(b"\x1f\x8b\x08\x08\0\0\0\0\x02\xffCoreDump\0"));
    assert!(gzip.ends_with(&81u32.to_le_bytes()), "{:?}", gzip.escape_ascii().to_string());
    assert_eq!(core(b"ProblemType: Crash\nSignal: 11\n"), None);
    assert_eq!(core(b"CoreDump: base64\n aGk=\n aG\n\n").unwrap().unwrap(), b"hih");
    let damaged = core(b"CoreDump: base64\n a*==\n").unwrap().unwrap_err();
    assert!(damaged.to_string().starts_with("the core dump in the report is damaged: 0x2a"));
}

/// The size of a parsed log is bounded, however long the log is.
#[test]
fn hostile_logs() {
    let line = "a[1]: segfault at 0 ip 0000000000401000 sp 00007ffc41c1eed0 error 4\n";
    assert_eq!(read_log(line.repeat(20_000).as_bytes()).len(), 10_000);
    let calls =
        "==1==ERROR: AddressSanitizer: stack-overflow on address 0x1 (pc 0x1 bp 0x2 sp 0x3 T0)\n"
            .to_owned()
            + &"    #0 0x1 in f /src/f.c:1\n".repeat(20_000);
    assert_eq!(read_log(calls.as_bytes())[0].frames.len(), 4096);
    for word in ["]: segfault at ", "[", "]: ", ": ", "#0 0x1 ", " in ", "\"COREDUMP_A\":\"", "=="]
    {
        read_log(word.repeat(100_000).as_bytes());
    }
}

/// Text that only resembles a crash yields no crash.
#[test]
fn other_texts_have_no_crash() {
    for text in [
        "panic: ordinary words\nand no goroutine\n",
        "thread 'x' started\n",
        "error: segfault at dawn\n",
        "free(): a novel in many parts, of which this is the first and by far the longest sentence of all\n",
        "pid: 1, tid: 2, name: x\n",
        "# pid=1, tid=2\n#, pid=x\n",
        "Signal: 11\nPID: none (x)\n",
        "a.rs:1: runtime error: x\n",
    ] {
        check(text, "");
    }
}

#[track_caller]
fn check(log: &str, expect: &str) {
    assert_eq!(fields(&read_log(log.as_bytes())), expect, "{log}");
}

/// The same line with the prefixes of dmesg, journalctl, syslog and others.
#[test]
fn prefixes_change_nothing() {
    let line = "my app [3]:[71]: segfault at 18 ip 000055bbe6767165 sp 00007f2c41c1eed0 error 4 in thr[55bbe6767000+1000]";
    let expect = fields(&read_log(line.as_bytes()));
    assert!(expect.contains("comm my app [3]:\n"), "{expect}");
    for before in [
        "[    5.831743] ",
        "[   12.831743][ T2056] ",
        "[Thu Jan 20 12:37:45 2022] ",
        "<6>[12009.831743] ",
        "kern  :info  : [12009.831743] ",
        "6,1234,12009831743,-;",
        "Nov  6 02:10:00 host kernel: [12009.831743] ",
        "2026-11-26T02:10:00.123456+00:00 host kernel: ",
        "> some forum quotes it: kernel: ",
        "Thu Jan 20 12:37:45 2022 kern.info kernel: [   12.345678] ",
    ] {
        check(&format!("{before}{line}\r\n"), &expect);
    }
    check(&format!("{{\"_TRANSPORT\":\"kernel\",\"MESSAGE\":\"{line}\"}}\n"), &expect);
}

/// If two programs crash at once, the owner of a `Code:` line is unknown.
#[test]
fn code_is_not_given_to_the_wrong_program() {
    let fault = |name: &str| {
        format!(
            "{name}[7]: segfault at 0 ip 0000000000401000 sp 00007ffc41c1eed0 error 4 in {name}[401000+1000]\n"
        )
    };
    let code = "Code: 90 <8b> 00\n";
    let with = |log: String| {
        read_log(log.as_bytes()).iter().map(|crash| crash.code_bytes.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(with([&fault("a"), code, &fault("b"), code].concat()), [true, true]);
    assert_eq!(with([&fault("a"), &fault("b"), code, code].concat()), [false, false]);
    assert_eq!(
        with([&fault("a"), &fault("b"), code, &fault("c"), code].concat()),
        [false, false, true]
    );
}

/// Truncating a log anywhere does not add to the result.
#[test]
fn logs_that_are_cut() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        let whole = read_log(&text).len();
        // Each byte of the beginning, then samples.
        let step = |at: usize| if at < 600 { 1 } else { 2039 };
        let mut end = 0;
        while end < text.len() {
            assert!(read_log(&text[..end]).len() <= whole);
            read_log(&text[end..text.len().min(end + 500)]);
            end += step(end);
        }
    }
}
