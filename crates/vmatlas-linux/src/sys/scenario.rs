//! The process from which scenarios are forked, and the scenarios' processes.

mod execute;
mod maps;
mod region;
pub(crate) mod shared;
mod touch;

use super::fork::{Forked, fork};
use crate::scenario::log::{Reply, Request};
use crate::scenario::program::{HEADER_BYTES, Program};
use execute::{Execution, exit};
use rustix::cmsg_space;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{SeekFrom, seek};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{
    Resource, Rlimit, Signal, WaitOptions, getrlimit, set_parent_process_death_signal, setrlimit,
    waitpid,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use shared::{LOG_START, NO_FORK, NO_REGION, Shared};
use std::io::{self, ErrorKind, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use vmatlas_space::scenario::Region;

/// More than the longest row: a path of four pages with each byte escaped as four.
const BUFFER: usize = 64 << 10;
/// The usual limit of a stack.
const STACK: u64 = 8 << 20;

/// Serves the runner through the socket on standard input, until the runner closes it.
pub(crate) fn serve() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let file = receive_file(&socket)?;
    let shared = Shared::map(&file)?;
    set_limits();
    // SAFETY: leaving the namespace of segments leaves those attached, of which there are none.
    let own_segments = unsafe { unshare_unsafe(UnshareFlags::NEWIPC) }.is_ok();
    shared.own_segments.store(u32::from(own_segments), Ordering::Release);
    touch::survive_faults()?;
    let plain = region::plain(crate::page_size() as u64)
        .ok_or_else(|| io::Error::new(ErrorKind::AddrInUse, "no room for a region"))?;
    // Reports that it is ready.
    (&socket).write_all(&[0])?;
    let (mut input, mut output) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut slots = Vec::new();
    while let Some((request, program)) = receive(&socket)? {
        shared.reset();
        seek(&file, SeekFrom::Start(LOG_START))?;
        slots.clear();
        slots.resize(program.slots as usize, -1);
        let mut run = || {
            let place = region::prepare(program.region, plain, &mut input);
            let Some(place) = place else { return shared.stop(NO_REGION) };
            Execution {
                program: &program,
                place,
                shared,
                log: file.as_fd(),
                slots: &mut slots,
                input: &mut input,
                output: &mut output,
                seconds: request.seconds,
                vdso_dropped: false,
            }
            .run();
        };
        let status = if program.region == Region::Stack {
            // This process itself, whose stack no other process has inherited. Its forked processes
            // end here.
            let me = rustix::process::getpid();
            run();
            if rustix::process::getpid() != me {
                exit(0);
            }
            0
        } else {
            run_forked(run, shared)?
        };
        shared.segments().for_each(remove_segment);
        let end = rustix::fs::tell(&file)?;
        let reply = Reply { status, end, trouble: shared.trouble.load(Ordering::Acquire) };
        match (&socket).write_all(&reply.encode()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
        if program.region == Region::Stack {
            exit(0);
        }
    }
    Ok(())
}

/// Runs a scenario in a new process, and returns its wait status.
fn run_forked(run: impl FnOnce(), shared: &Shared) -> io::Result<i32> {
    // SAFETY: this process has one thread, and its child runs a scenario, which is safe after a fork.
    match unsafe { fork(libc::SIGCHLD) } {
        Err(_) => {
            shared.stop(NO_FORK);
            Ok(0)
        }
        Ok(Forked::Child) => {
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            run();
            exit(0)
        }
        Ok(Forked::Parent(pid)) => loop {
            match waitpid(Some(pid), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(status.as_raw()),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        },
    }
}

/// The next scenario; `None` if the runner is gone.
fn receive(mut socket: &UnixStream) -> io::Result<Option<(Request, Program)>> {
    let mut request = [0; Request::BYTES];
    match socket.read_exact(&mut request) {
        Err(error)
            if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) =>
        {
            return Ok(None);
        }
        other => other?,
    }
    let mut header = [0; HEADER_BYTES];
    socket.read_exact(&mut header)?;
    let mut rest = vec![0; Program::size(&header)];
    socket.read_exact(&mut rest)?;
    let program = Program::decode(&header, &rest).ok_or(ErrorKind::InvalidData)?;
    Ok(Some((Request::decode(&request), program)))
}

/// Receives the file that accompanies a byte.
fn receive_file(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message
            && let Some(file) = files.next()
        {
            return Ok(file);
        }
    }
    Err(ErrorKind::UnexpectedEof.into())
}

/// Sets the limits that scenarios rely on, as far as permitted.
fn set_limits() {
    let set = |resource, wanted: Option<u64>| {
        let maximum = getrlimit(resource).maximum;
        let limit = Rlimit { current: wanted, maximum: wanted };
        if setrlimit(resource, limit).is_err() {
            let _ = setrlimit(resource, Rlimit { current: maximum, maximum });
        }
    };
    set(Resource::Memlock, None);
    let maximum = getrlimit(Resource::Stack).maximum;
    let current = Some(maximum.map_or(STACK, |maximum| maximum.min(STACK)));
    let _ = setrlimit(Resource::Stack, Rlimit { current, maximum });
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Removes a System V segment, which disappears when no process has it attached.
pub(crate) fn remove_segment(id: i32) {
    // SAFETY: IPC_RMID reads and writes no memory of this process.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}
