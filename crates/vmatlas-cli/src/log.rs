//! A log of strace(1) as a target: `LOG`, `LOG@SECONDS`, `LOG:PID`, `LOG:PID@SECONDS`.

use crate::moment::{Moment, When};
use crate::output::words::printable;
use crate::recording::{Recorded, Told};
use crate::stacks::Stacks;
use crate::target::Target;
use crate::trouble::Trouble;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use vmatlas::strace::{Process, Replay, Replayed, looks_like_log};
use vmatlas_linux::FilesNow;
use vmatlas_linux::symbols::SymbolOptions;

/// How many other processes are named.
const OTHERS: usize = 10;

/// The files of `strace -ff -o PATH`: `PATH.PID`.
pub(crate) fn parts(path: &str) -> Vec<(u32, PathBuf)> {
    let path = Path::new(path);
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let entries = std::fs::read_dir(parent.unwrap_or(Path::new("."))).into_iter().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(name)?.strip_prefix('.')?.parse();
            Some((number.ok()?, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// Reads the files of `strace -ff`, whose names begin with the path of a moment.
pub(crate) fn open_parts(name: &str, moment: &Moment) -> Result<Target, Trouble> {
    let path = moment.path.as_str();
    let mut files = Vec::new();
    for (pid, path) in parts(path) {
        let text = std::fs::read(path).map_err(|error| Trouble::file(name, error))?;
        files.push((pid, text));
    }
    let texts: Vec<(u32, &[u8])> =
        files.iter().map(|(pid, text)| (*pid, text.as_slice())).collect();
    if !texts.iter().any(|(_, text)| looks_like_log(text)) {
        return Err(Trouble::new(format!("{path}: there is no such file")));
    }
    replayed(name, moment, None, |replay| {
        replay.push_files(&texts);
        Ok(())
    })
}

/// Reads a log of which the beginning was read.
pub(crate) fn read(
    name: &str,
    moment: &Moment,
    head: &[u8],
    mut rest: impl Read,
) -> Result<Target, Trouble> {
    // One file of `strace -ff`.
    let extension = Path::new(&moment.path).extension().and_then(|pid| pid.to_str()?.parse().ok());
    replayed(name, moment, extension, |replay| {
        replay.push(head);
        let mut buffer = vec![0; 64 << 10];
        while !replay.is_done() {
            match rest.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => replay.push(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::file(name, error)),
            }
        }
        Ok(())
    })
}

fn replayed(
    name: &str,
    moment: &Moment,
    pid: Option<u32>,
    push: impl FnOnce(&mut Replay<'_>) -> Result<(), Trouble>,
) -> Result<Target, Trouble> {
    let profile = FilesNow::profile();
    let kernel = profile.version;
    let mut files = FilesNow::new();
    let mut replay = Replay::new(profile, &mut files);
    if let Some(pid) = pid {
        replay = replay.of_process(pid);
    }
    let time = match moment.when {
        Some(When::Time(time)) => Some(time),
        Some(When::Event(line)) => {
            replay = replay.until_line(line);
            None
        }
        Some(When::End) | None => None,
    };
    if let Some(time) = time {
        replay = replay.until(time);
    }
    push(&mut replay)?;
    let log = replay.finish();
    if time.is_some() && !log.timed {
        return Err(Trouble::new(format!(
            "{}: the log tells no times, so it has no moments; strace -ttt writes them",
            moment.path
        )));
    }
    let process = chosen(name, moment, &log)?;
    let mut maps = process.space.memory.maps();
    log.warnings.iter().for_each(|warning| maps.warn(warning.to_string()));
    if moment.pid.is_none() && log.processes.len() > 1 {
        maps.warn(format!("this is process {}; {}", process.pid, list(&moment.path, &log)));
    }
    if time.is_some_and(|time| time > log.length) {
        maps.warn(format!("the log ends after {} s", log.length.as_secs_f64()));
    }
    process.untold.iter().for_each(|untold| maps.warn(untold.to_string()));
    maps.warn(format!(
        "by the rules of Linux {kernel}, this machine's; the log does not tell the kernel"
    ));
    if files.found() > 0 {
        let found = files.found();
        maps.warn(format!("of {found} files device, inode and where symbolic links lead were looked up now, not when the log was written"));
    }
    let doubts = process.space.memory.doubts().count();
    if doubts > 0 {
        maps.warn(format!(
            "at {doubts} addresses two rows may or may not be one: page faults, which decide it, are not told"
        ));
    }
    let recorded = Recorded {
        pid: process.pid,
        comm: printable(&process.comm),
        number: log.lines,
        time_ns: log.timed.then(|| u64::try_from(log.length.as_nanos()).unwrap_or(u64::MAX)),
        warnings: maps.warnings().iter().map(ToString::to_string).collect(),
        origins: Vec::new(),
        stacks: Stacks::default(),
        symbols: SymbolOptions::default(),
        told: Told::Log { space: Box::new(process.space.clone()), makers: log.makers.clone() },
    };
    Ok(Target {
        log: Some(process.pid),
        recorded: Some(Box::new(recorded)),
        ..Target::of_rows(name, maps)
    })
}

fn chosen<'a>(name: &str, moment: &Moment, log: &'a Replayed) -> Result<&'a Process, Trouble> {
    let found = match moment.pid {
        Some(pid) => log.process(pid),
        None => log.processes.first(),
    };
    found.ok_or_else(|| {
        Trouble::new(match moment.pid {
            Some(pid) if !log.processes.is_empty() => {
                format!("{name}: no process {pid}; {}", list(&moment.path, log))
            }
            _ => format!("{name}: no process is in the log by then"),
        })
    })
}

/// The processes of a log and how to ask for them.
fn list(path: &str, log: &Replayed) -> String {
    let shown = log.processes.iter().take(OTHERS).map(|process| {
        let program = process.program.rsplit(|&b| b == b'/').next().unwrap_or_default();
        format!("{path}:{} {}", process.pid, printable(program)).trim_end().to_owned()
    });
    let more = log.processes.len().saturating_sub(OTHERS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("there are {}{more}", shown.collect::<Vec<_>>().join(", "))
}
