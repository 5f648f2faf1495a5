//! Writes scenarios as text that parses to the same values.

use super::words::{ACCESSES, COMPARISONS, REGIONS, word_of};
use super::{
    Access, Backing, Length, Map, Operation, PageAddress, Policy, Region, Scenario, ScenarioRow,
    Sharing, Span, StepKind, VersionCondition,
};
use std::fmt::{Display, Formatter, Result, Write};

/// Writes all lines from `scenario` to `end`, each with its line feed.
impl Display for Scenario {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "scenario {}", Token(self.name.as_bytes()))?;
        if !self.kernel.is_empty() {
            f.write_str("kernel")?;
            self.kernel.iter().try_for_each(|condition| write!(f, " {condition}"))?;
            f.write_char('\n')?;
        }
        if !self.needs.is_empty() {
            f.write_str("needs")?;
            self.needs.iter().try_for_each(|fact| write!(f, " {}", fact.word()))?;
            f.write_char('\n')?;
        }
        if self.region != Region::default() {
            writeln!(f, "region {}", word_of(&REGIONS, self.region))?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{}", step.kind))?;
        f.write_str("end\n")
    }
}

/// Writes the lines without the last line feed.
impl Display for StepKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            StepKind::Operation(operation, Ok(())) => operation.fmt(f),
            StepKind::Operation(operation, Err(failure)) => write!(f, "{operation} ! {failure}"),
            StepKind::Expect(rows) => {
                f.write_str("expect")?;
                rows.iter().try_for_each(|row| write!(f, "\n  {row}"))
            }
        }
    }
}

impl Display for VersionCondition {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (major, minor) = self.version;
        write!(f, "{} {major}.{minor}", word_of(&COMPARISONS, self.comparison))
    }
}

impl Display for ScenarioRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}-{} {}", self.from, self.to, self.perms)?;
        match &self.backing {
            Backing::None(name) if name.is_empty() => Ok(()),
            Backing::None(name) => write!(f, " {}", Rest(name)),
            Backing::Object { offset, label, shown } => {
                write!(f, " @{offset} {}", Token(label.as_bytes()))?;
                match shown.strip_prefix(label.as_bytes()) {
                    Some(b"") => Ok(()),
                    Some(b" (deleted)") => f.write_str(" (deleted)"),
                    _ => write!(f, "={}", Rest(shown)),
                }
            }
        }
    }
}

impl Display for Operation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Operation::Map(map) => map.fmt(f),
            Operation::Unmap(span) => write!(f, "unmap {span}"),
            Operation::Protect { span, prot, pkey, growsdown } => {
                write!(f, "protect {span} {prot}")?;
                if let Some(key) = pkey {
                    write!(f, " pkey={}", Token(key.as_bytes()))?;
                }
                flag(f, *growsdown, " growsdown")
            }
            Operation::Remap { span, to, new_length, dontunmap, maymove } => {
                write!(f, "remap {span}")?;
                to.iter().try_for_each(|to| write!(f, " to {to}"))?;
                new_length.iter().try_for_each(|length| write!(f, " len {length}"))?;
                flag(f, *dontunmap, " dontunmap")?;
                flag(f, *maymove, " maymove")
            }
            Operation::Refile { span, page } => write!(f, "refile {span} @{page}"),
            Operation::Advise(span, advice) => write!(f, "advise {span} {}", advice.word()),
            Operation::Lock { span, onfault } => {
                write!(f, "lock {span}")?;
                flag(f, *onfault, " onfault")
            }
            Operation::Unlock(span) => write!(f, "unlock {span}"),
            Operation::LockAll { current, future, onfault } => {
                f.write_str("mlockall")?;
                flag(f, *current, " current")?;
                flag(f, *future, " future")?;
                flag(f, *onfault, " onfault")
            }
            Operation::UnlockAll => f.write_str("munlockall"),
            Operation::Seal(span) => write!(f, "seal {span}"),
            Operation::Name { span, name } => {
                write!(f, "name {span}")?;
                name.iter().try_for_each(|name| write!(f, " {}", Quoted(name)))
            }
            Operation::Pkey(key) => write!(f, "pkey {}", Token(key.as_bytes())),
            Operation::Policy(span, policy) => write!(f, "policy {span} {policy}"),
            Operation::Uffd(fd) => write!(f, "uffd {}", Token(fd.as_bytes())),
            Operation::Register { fd, span, write_protect } => {
                let mode = if *write_protect { "wp" } else { "missing" };
                write!(f, "register {} {span} {mode}", Token(fd.as_bytes()))
            }
            Operation::Unregister { fd, span } => {
                write!(f, "unregister {} {span}", Token(fd.as_bytes()))
            }
            Operation::Brk(pages) => write!(f, "brk {pages:+}"),
            Operation::Ksm(on) => f.write_str(if *on { "ksm on" } else { "ksm off" }),
            Operation::ReadImpliesExec => f.write_str("personality read-implies-exec"),
            Operation::Vdso { at, pages, narrow } => {
                write!(f, "vdso {at} {pages}")?;
                flag(f, *narrow, " 32")
            }
            Operation::Read { at, pages } => touch(f, "read", *at, *pages),
            Operation::Write { at, pages } => touch(f, "write", *at, *pages),
            _ => file_operation(self, f),
        }
    }
}

/// Writes the operations on files, segments and processes.
fn file_operation(operation: &Operation, f: &mut Formatter<'_>) -> Result {
    match operation {
        Operation::File { label, pages, path } => {
            write!(f, "file {} {pages}", Token(label.as_bytes()))?;
            path.iter().try_for_each(|path| write!(f, " at {}", Token(path)))
        }
        Operation::Tmpfile { label, pages } => {
            write!(f, "tmpfile {} {pages}", Token(label.as_bytes()))
        }
        Operation::Memfd { label, pages, name } => {
            write!(f, "memfd {} {pages}", Token(label.as_bytes()))?;
            name.iter().try_for_each(|name| write!(f, " {}", Quoted(name)))
        }
        Operation::Secretmem { label, pages } => {
            write!(f, "secretmem {} {pages}", Token(label.as_bytes()))
        }
        Operation::Device { label, path } => {
            write!(f, "device {} {}", Token(label.as_bytes()), Token(path))
        }
        Operation::Open { label, fd, access } => {
            write!(f, "open {} as {}", Token(label.as_bytes()), Token(fd.as_bytes()))?;
            match access {
                Access::ReadWrite => Ok(()),
                other => write!(f, " {}", word_of(&ACCESSES, *other)),
            }
        }
        Operation::Dup { fd, to } => {
            write!(f, "dup {} as {}", Token(fd.as_bytes()), Token(to.as_bytes()))
        }
        Operation::Close(fd) => write!(f, "close {}", Token(fd.as_bytes())),
        Operation::Truncate { fd, pages } => write!(f, "truncate {} {pages}", Token(fd.as_bytes())),
        Operation::Rename(from, to) => write!(f, "rename {} {}", Token(from), Token(to)),
        Operation::Link(from, to) => write!(f, "link {} {}", Token(from), Token(to)),
        Operation::Unlink(path) => write!(f, "unlink {}", Token(path)),
        Operation::Mkdir(path) => write!(f, "mkdir {}", Token(path)),
        Operation::Rmdir(path) => write!(f, "rmdir {}", Token(path)),
        Operation::Shm { label, pages, key } => {
            write!(f, "shm {} {pages}", Token(label.as_bytes()))?;
            key.iter().try_for_each(|key| write!(f, " key {key:x}"))
        }
        Operation::Attach { label, at, readonly, replace } => {
            write!(f, "attach {} {at}", Token(label.as_bytes()))?;
            flag(f, *readonly, " ro")?;
            flag(f, *replace, " replace")
        }
        Operation::Detach(at) => write!(f, "detach {at}"),
        Operation::Fork => f.write_str("fork"),
        Operation::Parent => f.write_str("parent"),
        // The other operations are written above.
        _ => f.write_str("child"),
    }
}

impl Display for Map {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "map {} {}", self.span, self.prot)?;
        if let Some((fd, page)) = &self.file {
            write!(f, " file={}@{page}", Token(fd.as_bytes()))?;
        }
        f.write_str(match self.sharing {
            Sharing::Private => "",
            Sharing::Shared => " shared",
            Sharing::Droppable => " droppable",
        })?;
        if let Some(label) = &self.label {
            write!(f, " as {}", Token(label.as_bytes()))?;
        }
        flag(f, self.noreplace, " noreplace")?;
        flag(f, self.noreserve, " noreserve")?;
        flag(f, self.stack, " stack")?;
        flag(f, self.growsdown, " growsdown")?;
        flag(f, self.populate, " populate")?;
        flag(f, self.locked, " locked")?;
        flag(f, self.huge, " huge")
    }
}

impl Display for Policy {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (word, nodes): (_, &[u32]) = match self {
            Policy::Default => ("default", &[]),
            Policy::Local => ("local", &[]),
            Policy::Bind(nodes) => ("bind", nodes),
            Policy::Preferred(node) => ("preferred", std::slice::from_ref(node)),
            Policy::Interleave(nodes) => ("interleave", nodes),
        };
        f.write_str(word)?;
        nodes.iter().try_for_each(|node| write!(f, " {node}"))
    }
}

impl Display for PageAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.page)?;
        if self.bytes == 0 { Ok(()) } else { write!(f, "+{}b", self.bytes) }
    }
}

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Length::Pages(pages) => write!(f, "{pages}"),
            Length::Bytes(bytes) => write!(f, "{bytes}b"),
        }
    }
}

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {}", self.at, self.length)
    }
}

fn touch(f: &mut Formatter<'_>, word: &str, at: PageAddress, pages: u64) -> Result {
    write!(f, "{word} {at}")?;
    if pages == 1 { Ok(()) } else { write!(f, " {pages}") }
}

fn flag(f: &mut Formatter<'_>, given: bool, word: &str) -> Result {
    f.write_str(if given { word } else { "" })
}

/// A token: unquoted if it cannot be mistaken for another token, else quoted.
struct Token<'a>(&'a [u8]);

impl Display for Token<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./+".contains(b);
        match std::str::from_utf8(self.0) {
            Ok(text) if !text.is_empty() && self.0.iter().all(plain) => f.write_str(text),
            _ => Quoted(self.0).fmt(f),
        }
    }
}

/// A name that extends to the end of its line, or a quoted token.
struct Rest<'a>(&'a [u8]);

impl Display for Rest<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let plain = self.0.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
        match (self.0, std::str::from_utf8(self.0)) {
            ([] | [b'"' | b' ' | b'@', ..] | [.., b' '], _) => Quoted(self.0).fmt(f),
            (_, Ok(text)) if plain => f.write_str(text),
            _ => Quoted(self.0).fmt(f),
        }
    }
}

/// A quoted token.
struct Quoted<'a>(&'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '"' | '\\' => write!(f, "\\{c}")?,
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            chunk.invalid().iter().try_for_each(|b| write!(f, "\\x{b:02x}"))?;
        }
        f.write_char('"')
    }
}
