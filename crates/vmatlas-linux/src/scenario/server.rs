//! The process that runs scenarios, as the runner sees it.

use super::RunnerError;
use super::log::{Reply, Request};
use super::program::Program;
use crate::sys::scenario::{remove_segment, serve, shared};
use rustix::cmsg_space;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The environment variable that starts [`serve_if_asked`]; its value is the directory to remove at
/// the end, or empty.
const ASKED: &str = "VMATLAS_SCENARIO_SERVER";
/// Prefix of the directories for the files of scenarios.
pub(super) const DIRECTORY: &str = "vmatlas-";
/// Seconds that processes have beyond the runner's limit.
const SPARE_SECONDS: u64 = 5;

/// Runs scenarios for the [`Runner`](super::Runner) that started this process, and then never
/// returns. In any other process it does nothing.
///
/// Call it first in `main`, before threads and large mappings exist.
pub fn serve_if_asked() {
    let Some(directory) = std::env::var_os(ASKED).map(PathBuf::from) else { return };
    let code = match serve() {
        Ok(()) => {
            // A killed runner leaves the directory behind.
            let name = directory.file_name().unwrap_or_default();
            if name.as_encoded_bytes().starts_with(DIRECTORY.as_bytes()) {
                let _ = std::fs::remove_dir_all(&directory);
            }
            0
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "the process that runs scenarios: {error}");
            1
        }
    };
    std::process::exit(code);
}

/// How to start the process.
#[derive(Clone, Debug)]
pub(super) struct Executable {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

/// The process; dropping this ends it.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    socket: UnixStream,
    memory: File,
}

/// The end of a scenario.
pub(super) enum Answer {
    Reply(Reply),
    /// The process did not answer in time.
    Late,
}

impl Server {
    /// Starts the process, which removes the directory when the runner is gone.
    pub(super) fn start(
        executable: &Executable,
        limit: Duration,
        directory: Option<&Path>,
    ) -> Result<Server, RunnerError> {
        Self::try_start(executable, limit, directory).map_err(RunnerError::Server)
    }

    fn try_start(
        executable: &Executable,
        limit: Duration,
        directory: Option<&Path>,
    ) -> io::Result<Server> {
        let memory = File::from(memfd_create("vmatlas-scenario", MemfdFlags::CLOEXEC)?);
        memory.set_len(shared::LOG_START)?;
        let (socket, other) = UnixStream::pair()?;
        socket.set_read_timeout(Some(limit))?;
        let process = Command::new(&executable.program)
            .args(&executable.arguments)
            .env(ASKED, directory.unwrap_or(Path::new("")))
            .stdin(Stdio::from(OwnedFd::from(other)))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        let mut server = Server { process, socket, memory };
        server.send_memory()?;
        server.socket.read_exact(&mut [0])?;
        Ok(server)
    }

    fn send_memory(&self) -> io::Result<()> {
        let files = [self.memory.as_fd()];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(&self.socket, &[IoSlice::new(b"m")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Runs a program to completion.
    pub(super) fn run(&mut self, program: &Program, limit: Duration) -> io::Result<Answer> {
        let seconds = limit.as_secs().saturating_add(SPARE_SECONDS);
        let request = Request { seconds: u32::try_from(seconds).unwrap_or(u32::MAX) };
        let message = [&request.encode()[..], &program.encode()].concat();
        self.socket.write_all(&message)?;
        let mut reply = [0; Reply::BYTES];
        match self.socket.read_exact(&mut reply) {
            Ok(()) => Ok(Answer::Reply(Reply::decode(&reply))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Answer::Late),
            Err(error) => Err(error),
        }
    }

    /// Reads the log up to `end`.
    pub(super) fn log(&self, end: u64, log: &mut Vec<u8>) -> io::Result<()> {
        let length = end.saturating_sub(shared::LOG_START).min(shared::MAX_LOG * 2);
        log.resize(length as usize, 0);
        self.memory.read_exact_at(log, shared::LOG_START)?;
        if length > LARGE_LOG {
            self.memory.set_len(shared::LOG_START)?;
        }
        Ok(())
    }

    /// The current operation.
    pub(super) fn at(&self) -> u32 {
        self.number(std::mem::offset_of!(shared::Shared, at))
    }

    fn number(&self, offset: usize) -> u32 {
        let mut number = [0; 4];
        let read = self.memory.read_exact_at(&mut number, offset as u64);
        read.map_or(u32::MAX, |()| u32::from_ne_bytes(number))
    }
}

/// Size in bytes above which the log's memory is released.
const LARGE_LOG: u64 = 4 << 20;

impl Drop for Server {
    /// Kills all its processes.
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.process.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
        if self.number(std::mem::offset_of!(shared::Shared, own_segments)) != 0 {
            return; // They went with the processes.
        }
        let offset = |index: usize| shared::SEGMENTS_OFFSET + 4 * index;
        let count = self.number(shared::SEGMENT_COUNT_OFFSET) as usize;
        for index in 0..count.min(shared::SEGMENTS) {
            remove_segment(self.number(offset(index)) as i32);
        }
    }
}
