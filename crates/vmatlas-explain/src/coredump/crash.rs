//! The crash in a core dump, and the facts for labels.

use super::{CoreDump, CoreThread, ReadAt};
use crate::crash::{Crash, CrashSource};
use crate::label::{Facts, ThreadFacts};
use std::ops::RangeInclusive;
use vmatlas_maps::WordSize;
use vmatlas_maps::uapi::siginfo::{SEGV_ACCERR, SEGV_MAPERR, SEGV_PKUERR};
use vmatlas_maps::uapi::signal::{SIGSEGV, SIGSTOP, SIGTTOU};
use vmatlas_object::Memory as _;

/// SIGSTOP, SIGTSTP, SIGTTIN and SIGTTOU stop a program and do not end it (signal(7)).
const STOPS: RangeInclusive<i32> = SIGSTOP..=SIGTTOU;

/// Number of bytes of code to read: far more than the longest instruction has.
const CODE: usize = 64;

impl<S: ReadAt> CoreDump<S> {
    /// The crash for which the core was written. The signal is absent if there was none, for
    /// example if gdb's `gcore` stopped a running process to dump it.
    pub fn crash(&self) -> Crash {
        let thread = self.threads.first();
        let siginfo = self.siginfo();
        let signal = siginfo.map(|info| info.signal).filter(|&signal| signal != 0);
        let signal = signal.or(thread.map(|thread| thread.signal)).filter(|&signal| signal != 0);
        let signal = signal.filter(|signal| !STOPS.contains(signal));
        let of_segv = siginfo.filter(|info| info.signal == SIGSEGV).map(|info| info.code);
        let ip = thread.and_then(CoreThread::ip);
        Crash {
            source: CrashSource::Core,
            pid: self.pid,
            tid: thread.map(|thread| thread.tid),
            comm: thread.and_then(|thread| self.comm_of(thread)).map(<[u8]>::to_vec),
            signal,
            // gdb writes a core of a program that has stopped.
            has_ended: self.of_gdb.then_some(false),
            code: siginfo.filter(|info| Some(info.signal) == signal).map(|info| info.code),
            sender: siginfo.filter(|info| Some(info.signal) == signal).and_then(|info| info.sender),
            address: siginfo.and_then(|info| info.address),
            present: match of_segv {
                Some(SEGV_MAPERR) => Some(false),
                Some(SEGV_ACCERR | SEGV_PKUERR) => Some(true),
                _ => None,
            },
            protection_key: match of_segv {
                Some(SEGV_PKUERR) => Some(true),
                Some(SEGV_MAPERR | SEGV_ACCERR) => Some(false),
                _ => None,
            },
            machine: Some(self.machine),
            ip,
            sp: thread.and_then(CoreThread::sp),
            registers: thread
                .into_iter()
                .flat_map(CoreThread::registers)
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            code_bytes: ip.and_then(|ip| {
                let mut bytes = vec![0; CODE];
                let count = self.read(ip, &mut bytes);
                bytes.truncate(count);
                (count > 0).then_some((ip, bytes))
            }),
            maps: self.maps.clone(),
            ..Crash::default()
        }
    }

    /// The facts for labels. Reads the first page of each mapped file.
    pub fn facts(&self) -> Facts {
        let images = self.images();
        let kernel = images.iter().find_map(|image| image.kernel);
        let mut threads: Vec<ThreadFacts> = self
            .threads
            .iter()
            .map(|thread| ThreadFacts {
                tid: thread.tid,
                comm: self.comm_of(thread).unwrap_or_default().to_vec(),
                stack_pointer: thread.sp(),
                instruction_pointer: thread.ip(),
                thread_pointer: thread.tp(),
            })
            .collect();
        // The notes begin with the thread that crashed.
        threads.sort_by_key(|thread| Some(thread.tid) != self.pid);
        let images = images.into_iter().map(|image| image.facts);
        Facts {
            page_size: self.page_size(),
            word_size: Some(self.word_size()),
            machine: Some(self.machine),
            kernel,
            pid: self.pid,
            threads,
            auxv: self.auxv.clone(),
            start_brk: self.heap_start(),
            images: images.filter(|image| image.name.first() == Some(&b'/')).collect(),
            ..Facts::default()
        }
    }

    /// The word size of the process.
    pub fn word_size(&self) -> WordSize {
        if self.layout.word == 8 { WordSize::Bits64 } else { WordSize::Bits32 }
    }

    /// The name of a thread; a core contains only the name of the first thread.
    fn comm_of(&self, thread: &CoreThread) -> Option<&[u8]> {
        self.comm().filter(|_| Some(thread.tid) == self.pid)
    }
}
