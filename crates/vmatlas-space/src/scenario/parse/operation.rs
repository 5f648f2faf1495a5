//! Parses operations from the words of a line.

use super::line::{Line, MAX_COUNT, MAX_PAGES, Result};
use crate::Errno;
use crate::scenario::error::ScenarioErrorKind as Kind;
use crate::scenario::words::{ACCESSES, OPERATIONS, nearest, value_of};
use crate::scenario::{Access, Advice, Failure, Map, Operation, Policy, Sharing};

/// The highest node number of a kernel (CONFIG_NODES_SHIFT is at most 10).
const MAX_NODE: u64 = 1023;

/// Parses the operation whose keyword was taken from `at`.
pub(super) fn operation(line: &mut Line<'_>, at: usize, word: &str) -> Result<Operation> {
    Ok(match word {
        "map" => Operation::Map(map(line)?),
        "unmap" => Operation::Unmap(line.span()?),
        "protect" => protect(line)?,
        "remap" => remap(line)?,
        "refile" => Operation::Refile {
            span: line.span()?,
            page: {
                must_eat(line, '@', "@PAGE")?;
                line.count("@PAGE", MAX_PAGES)?
            },
        },
        "advise" => Operation::Advise(line.span()?, advice(line)?),
        "lock" => Operation::Lock { span: line.span()?, onfault: line.keyword("onfault") },
        "unlock" => Operation::Unlock(line.span()?),
        "mlockall" => lock_all(line)?,
        "munlockall" => Operation::UnlockAll,
        "seal" => Operation::Seal(line.span()?),
        "name" => Operation::Name { span: line.span()?, name: optional_bytes(line)? },
        "pkey" => Operation::Pkey(line.name("KEY")?),
        "policy" => Operation::Policy(line.span()?, policy(line)?),
        "uffd" => Operation::Uffd(line.name("FD")?),
        "register" => {
            let (fd, span) = (line.name("FD")?, line.span()?);
            let write_protect = !line.keyword("missing") && line.keyword("wp");
            Operation::Register { fd, span, write_protect }
        }
        "unregister" => Operation::Unregister { fd: line.name("FD")?, span: line.span()? },
        "brk" => Operation::Brk(distance(line)?),
        "ksm" => Operation::Ksm(match line.word("on or off")? {
            (_, "on") => true,
            (_, "off") => false,
            (at, _) => return line.fail(at, Kind::Switch),
        }),
        "personality" => match line.word("read-implies-exec")? {
            (_, "read-implies-exec") => Operation::ReadImpliesExec,
            (at, _) => return line.fail(at, Kind::Personality),
        },
        "vdso" => Operation::Vdso {
            at: line.place()?,
            pages: line.count("PAGES", MAX_COUNT)?,
            narrow: line.keyword("32"),
        },
        "read" => Operation::Read { at: line.place()?, pages: optional_count(line)? },
        "write" => Operation::Write { at: line.place()?, pages: optional_count(line)? },
        _ => return file_operation(line, at, word),
    })
}

/// Parses the operations on files, segments and processes.
fn file_operation(line: &mut Line<'_>, at: usize, word: &str) -> Result<Operation> {
    Ok(match word {
        "file" => Operation::File {
            label: line.name("LABEL")?,
            pages: line.count("PAGES", MAX_COUNT)?,
            path: if line.keyword("at") { Some(line.bytes("PATH")?) } else { None },
        },
        "tmpfile" => Operation::Tmpfile {
            label: line.name("LABEL")?,
            pages: line.count("PAGES", MAX_COUNT)?,
        },
        "memfd" => Operation::Memfd {
            label: line.name("LABEL")?,
            pages: line.count("PAGES", MAX_COUNT)?,
            name: optional_bytes(line)?,
        },
        "secretmem" => Operation::Secretmem {
            label: line.name("LABEL")?,
            pages: line.count("PAGES", MAX_COUNT)?,
        },
        "device" => Operation::Device { label: line.name("LABEL")?, path: line.bytes("PATH")? },
        "open" => Operation::Open {
            label: line.name("LABEL")?,
            fd: as_name(line)?,
            access: match line.option() {
                None => Access::default(),
                Some((at, word)) => match value_of(&ACCESSES, word) {
                    Some(access) => access,
                    None => return line.fail(at, Kind::TooMuch),
                },
            },
        },
        "dup" => Operation::Dup { fd: line.name("FD")?, to: as_name(line)? },
        "close" => Operation::Close(line.name("FD")?),
        "truncate" => {
            Operation::Truncate { fd: line.name("FD")?, pages: line.count("PAGES", MAX_COUNT)? }
        }
        "rename" => Operation::Rename(line.bytes("PATH")?, line.bytes("the new PATH")?),
        "link" => Operation::Link(line.bytes("PATH")?, line.bytes("the new PATH")?),
        "unlink" => Operation::Unlink(line.bytes("PATH")?),
        "mkdir" => Operation::Mkdir(line.bytes("PATH")?),
        "rmdir" => Operation::Rmdir(line.bytes("PATH")?),
        "shm" => Operation::Shm {
            label: line.name("LABEL")?,
            pages: line.count("PAGES", MAX_COUNT)?,
            key: if line.keyword("key") { Some(key(line)?) } else { None },
        },
        "attach" => attach(line)?,
        "detach" => Operation::Detach(line.place()?),
        "fork" => Operation::Fork,
        "parent" => Operation::Parent,
        "child" => Operation::Child,
        _ => {
            let near = nearest(word, OPERATIONS.into_iter());
            return line.fail(at, Kind::Operation { near });
        }
    })
}

/// Parses the outcome after an operation: nothing, or `! ERROR`.
pub(super) fn outcome(
    line: &mut Line<'_>,
    operation: &Operation,
) -> Result<std::result::Result<(), Failure>> {
    if line.rest().is_empty() {
        return Ok(Ok(()));
    }
    if !line.is_done() {
        return line.fail(line.at(), Kind::TooMuch);
    }
    line.failure_mark();
    let (at, word) = line.word("the ERROR after !")?;
    let failure = match word {
        "SIGSEGV" => Failure::Segv,
        "SIGBUS" => Failure::Bus,
        // The form of errors without a name.
        "errno" => {
            Failure::Errno(Errno(i32::try_from(line.count("the errno", 4095)?).unwrap_or(0)))
        }
        name => Failure::Errno(name.parse().map_err(|_| line.error(at, Kind::Failure))?),
    };
    let access = matches!(operation, Operation::Read { .. } | Operation::Write { .. });
    if access == matches!(failure, Failure::Errno(_)) {
        return line.fail(at, Kind::WrongFailure);
    }
    line.must_end()?;
    Ok(Err(failure))
}

fn map(line: &mut Line<'_>) -> Result<Map> {
    let (span, prot) = (line.span()?, line.prot()?);
    let mut map = Map::new(span, prot);
    while let Some((at, word)) = line.option() {
        let repeated = match word {
            "file" => {
                let file = file_and_page(line)?;
                map.file.replace(file).is_some()
            }
            "shared" | "droppable" => {
                let sharing = if word == "shared" { Sharing::Shared } else { Sharing::Droppable };
                std::mem::replace(&mut map.sharing, sharing) != Sharing::Private
            }
            "as" => {
                let label = line.name("LABEL")?;
                map.label.replace(label).is_some()
            }
            "noreplace" => std::mem::replace(&mut map.noreplace, true),
            "noreserve" => std::mem::replace(&mut map.noreserve, true),
            "stack" => std::mem::replace(&mut map.stack, true),
            "growsdown" => std::mem::replace(&mut map.growsdown, true),
            "populate" => std::mem::replace(&mut map.populate, true),
            "locked" => std::mem::replace(&mut map.locked, true),
            "huge" => std::mem::replace(&mut map.huge, true),
            _ => return line.fail(at, Kind::TooMuch),
        };
        if repeated {
            return line.fail(at, Kind::Repeated);
        }
    }
    Ok(map)
}

/// `FD@PAGE` after `file`, whose `=` is next.
fn file_and_page(line: &mut Line<'_>) -> Result<(String, u64)> {
    must_eat(line, '=', "=FD@PAGE")?;
    let fd = line.name_until(Some('@'), "FD")?;
    must_eat(line, '@', "@PAGE")?;
    Ok((fd, line.count("the file's PAGE", MAX_PAGES)?))
}

fn protect(line: &mut Line<'_>) -> Result<Operation> {
    let (span, prot) = (line.span()?, line.prot()?);
    let (mut pkey, mut growsdown) = (None, false);
    while let Some((at, word)) = line.option() {
        let repeated = match word {
            "pkey" => {
                must_eat(line, '=', "=KEY")?;
                pkey.replace(line.name("KEY")?).is_some()
            }
            "growsdown" => std::mem::replace(&mut growsdown, true),
            _ => return line.fail(at, Kind::TooMuch),
        };
        if repeated {
            return line.fail(at, Kind::Repeated);
        }
    }
    Ok(Operation::Protect { span, prot, pkey, growsdown })
}

fn remap(line: &mut Line<'_>) -> Result<Operation> {
    let span = line.span()?;
    let (mut to, mut new_length, mut dontunmap, mut maymove) = (None, None, false, false);
    while let Some((at, word)) = line.option() {
        let repeated = match word {
            "to" => to.replace(line.place()?).is_some(),
            "len" => new_length.replace(line.length()?).is_some(),
            "dontunmap" => std::mem::replace(&mut dontunmap, true),
            "maymove" => std::mem::replace(&mut maymove, true),
            _ => return line.fail(at, Kind::TooMuch),
        };
        if repeated {
            return line.fail(at, Kind::Repeated);
        }
    }
    Ok(Operation::Remap { span, to, new_length, dontunmap, maymove })
}

fn attach(line: &mut Line<'_>) -> Result<Operation> {
    let (label, at) = (line.name("LABEL")?, line.place()?);
    let (mut readonly, mut replace) = (false, false);
    while let Some((at, word)) = line.option() {
        let repeated = match word {
            "ro" => std::mem::replace(&mut readonly, true),
            "replace" => std::mem::replace(&mut replace, true),
            _ => return line.fail(at, Kind::TooMuch),
        };
        if repeated {
            return line.fail(at, Kind::Repeated);
        }
    }
    Ok(Operation::Attach { label, at, readonly, replace })
}

fn lock_all(line: &mut Line<'_>) -> Result<Operation> {
    let (mut current, mut future, mut onfault) = (false, false, false);
    while let Some((at, word)) = line.option() {
        let flag = match word {
            "current" => &mut current,
            "future" => &mut future,
            "onfault" => &mut onfault,
            _ => return line.fail(at, Kind::TooMuch),
        };
        if std::mem::replace(flag, true) {
            return line.fail(at, Kind::Repeated);
        }
    }
    Ok(Operation::LockAll { current, future, onfault })
}

fn advice(line: &mut Line<'_>) -> Result<Advice> {
    let (at, word) = line.word("ADVICE")?;
    let known = Advice::ALL.iter().find(|(_, known, _)| *known == word);
    known.map(|(advice, _, _)| *advice).ok_or_else(|| {
        let near = nearest(word, Advice::ALL.into_iter().map(|(_, word, _)| word));
        line.error(at, Kind::Advice { near })
    })
}

fn policy(line: &mut Line<'_>) -> Result<Policy> {
    let (at, word) = line.word("a policy")?;
    Ok(match word {
        "default" => Policy::Default,
        "local" => Policy::Local,
        "bind" => Policy::Bind(nodes(line)?),
        "preferred" => Policy::Preferred(node(line)?),
        "interleave" => Policy::Interleave(nodes(line)?),
        _ => return line.fail(at, Kind::Policy),
    })
}

fn node(line: &mut Line<'_>) -> Result<u32> {
    line.count("NODE", MAX_NODE).map(|node| node as u32) // which fits
}

fn nodes(line: &mut Line<'_>) -> Result<Vec<u32>> {
    let mut nodes = vec![node(line)?];
    while !line.is_done() {
        nodes.push(node(line)?);
    }
    Ok(nodes)
}

fn distance(line: &mut Line<'_>) -> Result<i64> {
    let at = line.at();
    let sign = match (line.eat('+'), line.eat('-')) {
        (true, false) => 1,
        (false, true) => -1,
        _ => return line.fail(at, Kind::Distance),
    };
    line.count("N", MAX_COUNT).map(|pages| sign * pages as i64) // which fits
}

fn key(line: &mut Line<'_>) -> Result<i32> {
    let (at, word) = line.word("the key")?;
    let digits = word.len() <= 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    match u32::from_str_radix(word, 16) {
        Ok(key) if digits => Ok(key.cast_signed()),
        _ => line.fail(at, Kind::Key),
    }
}

/// `as NAME`.
fn as_name(line: &mut Line<'_>) -> Result<String> {
    if !line.keyword("as") {
        return line.fail(line.at(), Kind::Missing("`as FD`"));
    }
    line.name("FD")
}

fn optional_bytes(line: &mut Line<'_>) -> Result<Option<Vec<u8>>> {
    if line.is_done() { Ok(None) } else { line.bytes("a name").map(Some) }
}

fn optional_count(line: &mut Line<'_>) -> Result<u64> {
    if line.is_done() { Ok(1) } else { line.count("N", MAX_COUNT) }
}

fn must_eat(line: &mut Line<'_>, c: char, what: &'static str) -> Result<()> {
    if line.eat(c) { Ok(()) } else { line.fail(line.at(), Kind::Missing(what)) }
}
