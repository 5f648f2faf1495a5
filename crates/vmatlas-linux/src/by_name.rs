//! Processes by name: that of the command, of the executable, or of a script.

use crate::error::Error;
use crate::process::{Process, ProcessId, TaskState, stat_field};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

/// Programs that run a script, which is their first argument. The digits and dots of a version may
/// follow.
const INTERPRETERS: [&str; 16] = [
    "ash", "bash", "busybox", "dash", "fish", "ksh", "lua", "mksh", "node", "nodejs", "perl",
    "php", "pypy", "python", "ruby", "zsh",
];

/// Options after which no script follows: it is in the argument, or is a module.
const NO_SCRIPT: [&[u8]; 4] = [b"-c", b"-e", b"-m", b"-E"];

/// What tells processes of one name apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The pid.
    pub pid: u32,
    /// The real user id, if known.
    pub uid: Option<u32>,
    /// When it started, since 1970, if known and the clock was not set since.
    pub started: Option<Duration>,
    /// Its arguments, of which it can write any (proc_pid_cmdline(5)), or its command name.
    pub command_line: Vec<u8>,
}

/// A process with the names by which it is found, except that of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedProcess {
    /// The pid.
    pub pid: u32,
    /// The name of its command (proc_pid_comm(5)): any bytes.
    pub comm: Vec<u8>,
    /// The name of its executable, if it may be seen: any bytes.
    pub executable: Option<Vec<u8>>,
}

impl Process {
    /// The processes whose pid begins with `digits`, at most `most` of them, the largest pids.
    /// Neither the calling process nor kernel threads count. Reads no arguments and no rows; what
    /// cannot be read is left out.
    pub fn with_names(proc: &Path, digits: &str, most: usize) -> Vec<NamedProcess> {
        let own = Process::own_pid(proc);
        let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
        let pid = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            let digits = name.to_str().filter(|name| name.starts_with(digits));
            digits?.parse().ok().filter(|pid| Some(*pid) != own)
        };
        let mut pids: Vec<u32> = entries.filter_map(pid).collect();
        pids.sort_unstable();
        let pids = &pids[pids.len().saturating_sub(most)..];
        pids.iter().filter_map(|&pid| named_process(proc, pid)).collect()
    }

    /// The pids of the processes whose command name (as [`named`](Process::named)), executable or
    /// script has this name, the oldest first. The calling process does not count.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be listed.
    pub fn by_name(proc: &Path, name: &str) -> Result<Vec<u32>, Error> {
        let own = Process::own_pid(proc);
        let mut pids = Process::named(proc, name)?;
        let io = |source| Error::Io { path: proc.to_owned(), source };
        for entry in std::fs::read_dir(proc).map_err(io)?.flatten() {
            let pid = entry.file_name().to_str().and_then(|pid| pid.parse::<u32>().ok());
            let Some(pid) = pid.filter(|pid| Some(*pid) != own && !pids.contains(pid)) else {
                continue;
            };
            if runs(&entry.path(), name.as_bytes()) {
                pids.push(pid);
            }
        }
        let process = |pid| Process::open(proc, ProcessId { pid, tid: None }).ok();
        pids.sort_by_cached_key(|&pid| (process(pid).and_then(|process| process.start()), pid));
        Ok(pids)
    }

    /// Its start in clock ticks after that of the machine.
    fn start(&self) -> Option<u64> {
        stat_field(&self.read("stat").ok()?, 22)
    }

    /// What tells it apart from others of its name. Reads its arguments.
    pub fn candidate(&self) -> Candidate {
        let arguments = read_arguments(self.path()).unwrap_or_default();
        let words: Vec<&[u8]> = arguments.split(|&byte| byte == 0).collect();
        let words = words.strip_suffix(&[b"".as_slice()]).unwrap_or(&words);
        let command_line = match words.join(&b' ') {
            line if line.is_empty() => self.comm().unwrap_or_default(),
            line => line,
        };
        let (pid, uid, started) = (self.id().pid, self.uid(), self.started());
        Candidate { pid, uid, started, command_line }
    }

    fn uid(&self) -> Option<u32> {
        let status = self.read("status").ok()?;
        let line =
            status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
        std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()
    }
}

fn named_process(proc: &Path, pid: u32) -> Option<NamedProcess> {
    let process = Process::open(proc, ProcessId { pid, tid: None }).ok()?;
    let comm = process.comm().ok()?;
    let state = process.read("stat").ok().and_then(|stat| TaskState::parse(&stat));
    if state.is_some_and(|state| state.kernel_thread) {
        return None;
    }
    Some(NamedProcess { pid, comm, executable: executable(process.path()) })
}

/// The name of the executable of a process, given by its directory in /proc. Other users' processes
/// do not show it.
fn executable(process: &Path) -> Option<Vec<u8>> {
    let executable = std::fs::read_link(process.join("exe")).ok()?;
    let executable = executable.as_os_str().as_bytes();
    let executable = executable.strip_suffix(b" (deleted)").unwrap_or(executable);
    Some(last_part(executable).to_vec())
}

/// Whether the process of a directory runs an executable or a script of this name.
fn runs(process: &Path, name: &[u8]) -> bool {
    let Some(executable) = executable(process) else { return false };
    executable == name
        || is_interpreter(&executable)
            && read_arguments(process).is_ok_and(|arguments| script(&arguments) == Some(name))
}

/// Reads the first arguments of a process, given by its directory in /proc. The kernel takes them
/// from anonymous memory only and waits for no userfaultfd (`FOLL_ANON` of fs/proc/base.c, since
/// 4.17), but a process chooses where they end.
fn read_arguments(process: &Path) -> std::io::Result<Vec<u8>> {
    /// The most bytes to read.
    const LIMIT: u64 = 4096;
    let mut bytes = Vec::new();
    File::open(process.join("cmdline"))?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_interpreter(executable: &[u8]) -> bool {
    let is_version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    INTERPRETERS.iter().any(|name| {
        executable.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.iter().all(is_version))
    })
}

/// The name of the script among the arguments of an interpreter.
fn script(arguments: &[u8]) -> Option<&[u8]> {
    let mut words = arguments.split(|&byte| byte == 0).skip(1);
    let first = words.find(|word| !word.starts_with(b"-") || NO_SCRIPT.contains(word))?;
    Some(last_part(first)).filter(|script| !script.is_empty() && !script.starts_with(b"-"))
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{is_interpreter, script};

    #[test]
    fn scripts_of_interpreters() {
        assert!(is_interpreter(b"python3.11") && is_interpreter(b"bash"));
        assert!(!is_interpreter(b"vim") && !is_interpreter(b"python-config"));
        assert_eq!(script(b"python3\0-u\0/srv/app.py\0x\0"), Some(b"app.py".as_slice()));
        assert_eq!(script(b"sh\0-c\0app.py\0"), None);
        assert_eq!(script(b"python3\0-m\0app\0"), None);
        assert_eq!(script(b"python3\0"), None);
        assert_eq!(script(b""), None);
    }
}
