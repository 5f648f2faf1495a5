//! The process that runs scenarios, from the runner's side.

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

/// Asks [`serve_if_asked`]: the directory to remove in the end, or nothing.
const ASKED: &str = "VMATLAS_SCENARIO_SERVER";
/// How the names of directories for the files of scenarios begin.
pub(super) const DIRECTORY: &str = "vmatlas-";
/// What processes have more than the runner waits.
const SPARE_SECONDS: u64 = 5;

/// Runs scenarios for the [`Runner`](super::Runner) that started this process, and never returns
/// then. Otherwise it does nothing.
///
/// Call it first in `main`, before threads and large memory are made.
pub fn serve_if_asked() {
    let Some(directory) = std::env::var_os(ASKED).map(PathBuf::from) else { return };
    let code = match serve() {
        Ok(()) => {
            // A runner that was killed has left it.
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

/// How the process is started.
#[derive(Clone, Debug)]
pub(super) struct Executable {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

/// The process, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    socket: UnixStream,
    memory: File,
}

/// How a scenario ended.
pub(super) enum Answer {
    Reply(Reply),
    /// The process did not answer in time.
    Late,
}

impl Server {
    /// Starts one, which removes the directory when the runner has gone.
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

    /// Runs a program to its end.
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

    /// The log up to its end.
    pub(super) fn log(&self, end: u64, log: &mut Vec<u8>) -> io::Result<()> {
        let length = end.saturating_sub(shared::LOG_START).min(shared::LOG_LIMIT * 2);
        log.resize(length as usize, 0);
        self.memory.read_exact_at(log, shared::LOG_START)?;
        if length > LARGE_LOG {
            self.memory.set_len(shared::LOG_START)?;
        }
        Ok(())
    }

    /// The operation that is being done.
    pub(super) fn at(&self) -> u32 {
        self.number(std::mem::offset_of!(shared::Shared, at))
    }

    fn number(&self, offset: usize) -> u32 {
        let mut number = [0; 4];
        let read = self.memory.read_exact_at(&mut number, offset as u64);
        read.map_or(u32::MAX, |()| u32::from_ne_bytes(number))
    }
}

/// A log from which on its memory is given back.
const LARGE_LOG: u64 = 4 << 20;

impl Drop for Server {
    /// Ends all its processes, whatever they do.
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
