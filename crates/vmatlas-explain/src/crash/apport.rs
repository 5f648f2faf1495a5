//! Reports of apport, `/var/crash/*.crash` of Ubuntu.
//!
//! # References
//!
//! problem_report.py and apport/report.py of apport 2.20 to 2.30.

use crate::crash::line::{Line, lines};
use crate::crash::log::{Found, Index, Reader};
use crate::crash::words::{after, id, leading_hex, leading_signed, split, take_while};
use crate::crash::{Access, Crash, CrashSource, Machine, frame, registers};

/// Reads reports of apport.
#[derive(Debug, Default)]
pub(super) struct Apport {
    crash: Option<Index>,
    /// The field that a line with a leading blank continues.
    field: Field,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Field {
    #[default]
    Other,
    Maps,
    Status,
    Registers,
    Stack,
    Analysis,
}

impl Reader for Apport {
    fn line(&mut self, line: &Line<'_>, found: &mut Found) {
        let text = line.text;
        if text == b"ProblemType: Crash" {
            let crash = Crash { source: CrashSource::Apport, ..Crash::default() };
            *self = Apport { crash: found.add(line, crash), field: Field::Other };
        } else if let Some(index) = self.crash {
            if text.starts_with(b" ") {
                self.inside(index, line, text.trim_ascii(), found);
            } else if let Some((name, value)) = split(text, ":") {
                self.field(index, name, value.trim_ascii(), found);
            } else {
                self.crash = None;
            }
        }
    }
}

impl Apport {
    fn field(&mut self, index: Index, name: &[u8], value: &[u8], found: &mut Found) {
        self.field = match name {
            b"ProcMaps" => Field::Maps,
            b"ProcStatus" => Field::Status,
            b"Registers" => Field::Registers,
            b"Stacktrace" => Field::Stack,
            b"SegvAnalysis" => Field::Analysis,
            _ => Field::Other,
        };
        let Some(crash) = found.get(index) else { return };
        match name {
            b"Signal" => crash.signal = leading_signed(value),
            b"Architecture" => crash.machine = machine(value),
            b"SegvReason" => {
                crash.access = crash.access.or(access(value));
                found.say(index, value);
            }
            b"AssertionMessage" => found.say(index, value),
            _ => {}
        }
    }

    fn inside(&mut self, index: Index, line: &Line<'_>, text: &[u8], found: &mut Found) {
        let Some(crash) = found.get(index) else { return };
        match self.field {
            Field::Maps => found.maps(index, line),
            Field::Status => {
                let value = |name: &str| text.strip_prefix(name.as_bytes()).map(<[u8]>::trim_ascii);
                if let Some(name) = value("Name:") {
                    crash.comm = Some(name.to_owned());
                }
                crash.pid = crash.pid.or_else(|| id(value("Tgid:")?));
            }
            Field::Registers => {
                registers::take(crash, text);
            }
            Field::Stack => {
                if let Some(call) = frame::numbered(text) {
                    found.frame(index, frame::of_gdb(call));
                }
            }
            Field::Analysis => {
                analysis(crash, text);
                found.say(index, text);
            }
            Field::Other => {}
        }
    }
}

/// Parses the name of a Debian architecture.
fn machine(name: &[u8]) -> Option<Machine> {
    Some(match name {
        b"amd64" => Machine::X86_64,
        b"i386" => Machine::X86,
        b"arm64" => Machine::AArch64,
        b"armhf" | b"armel" => Machine::Arm,
        b"ppc64el" => Machine::PowerPc64,
        b"s390x" => Machine::S390x,
        b"riscv64" => Machine::RiscV64,
        _ => return None,
    })
}

/// Parses `reading NULL VMA`, `writing unknown VMA`, `executing non-writable VMA [stack]`.
fn access(reason: &[u8]) -> Option<Access> {
    let (word, _) = take_while(reason, |b| b.is_ascii_alphabetic());
    match word {
        b"reading" => Some(Access::Read),
        b"writing" => Some(Access::Write),
        b"executing" => Some(Access::Execute),
        _ => None,
    }
}

/// Parses `source "(%rax)" (0x00000000) not located in a known VMA region (needed readable
/// region)!` and takes the address if apport reports a problem with it.
fn analysis(crash: &mut Crash, text: &[u8]) {
    let which = ["source ", "destination ", "PC (", "SP ("];
    let faulty = text.ends_with(b"!") || after(text, " not located in ").is_some();
    if faulty && which.iter().any(|word| text.starts_with(word.as_bytes())) {
        crash.address = crash.address.or_else(|| leading_hex(after(text, "(0x")?));
    }
}

/// An invalid character in a line of base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the core dump in the report is damaged: {byte:#04x} is not a base64 character, or is misplaced"
)]
#[non_exhaustive]
pub struct Base64Error {
    /// The invalid byte.
    pub byte: u8,
}

/// The core dump in a report of apport, compressed with gzip: an iterator over the decoded bytes of
/// each line. `None` if the report contains no core dump.
///
/// # Errors
///
/// If a line is not base64, as in a truncated report.
pub fn apport_core(report: &[u8]) -> Option<impl Iterator<Item = Result<Vec<u8>, Base64Error>>> {
    const FIELD: &str = "\nCoreDump: base64\n";
    let part = after(report, FIELD).or_else(|| report.strip_prefix(&FIELD.as_bytes()[1..]))?;
    let mine = lines(part).map(|line| line.text).take_while(|text| text.starts_with(b" "));
    Some(mine.map(|text| base64(text.trim_ascii())))
}

/// Decodes a line of base64 (RFC 4648). apport pads each line separately.
fn base64(text: &[u8]) -> Result<Vec<u8>, Base64Error> {
    let digits = text.iter().rposition(|&b| b != b'=').map_or(0, |last| last + 1);
    let (digits, padding) = text.split_at(digits);
    if padding.len() > 2 {
        return Err(Base64Error { byte: b'=' });
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for &byte in group {
            bits = bits << 6 | u32::from(digit(byte)?);
        }
        match group.len() {
            4 => bytes.extend_from_slice(&bits.to_be_bytes()[1..]),
            3 => bytes.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
            2 => bytes.push((bits >> 4).to_be_bytes()[3]),
            _ => return Err(Base64Error { byte: group[0] }),
        }
    }
    Ok(bytes)
}

fn digit(byte: u8) -> Result<u8, Base64Error> {
    Ok(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return Err(Base64Error { byte }),
    })
}
