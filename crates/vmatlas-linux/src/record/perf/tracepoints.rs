//! The system call tracepoints to listen to, by name.
//!
//! A call is recorded when it returns: its arguments are still in the registers, its result is
//! available, and the stack is unchanged, unless a thread has unmapped its own.
//!
//! The kernel has these tracepoints for 64-bit calls only: calls of i386 or x32 are not seen.

use crate::record::arch::NATIVE;
use crate::record::calls::{arrange, heard};
use std::ffi::{CString, c_long};
use std::sync::LazyLock;
use vmatlas_recording::CallKind;
use vmatlas_recording::call::{Form, Meaning, SystemCall};

/// The purpose of a tracepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A call that returns.
    Call,
    /// The start of a userfaultfd ioctl. Only the start has the request, and only there can the
    /// kernel filter out all other ioctls, which may be many.
    Ioctl,
    /// The start of clone(2), whose flags determine whether the child shares memory.
    Clone,
    /// The start of clone3(2), whose flags are in memory.
    Clone3,
    /// The start of vfork(2), whose child shares everything.
    Vfork,
    /// The start of fork(2), whose child shares nothing.
    Fork,
}

/// A tracepoint of `syscalls`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracepoint {
    /// The call, without `sys_enter_` or `sys_exit_`.
    pub(super) call: &'static str,
    pub(super) number: c_long,
    pub(super) purpose: Purpose,
}

impl Tracepoint {
    /// Whether it is at the start of a call.
    pub(super) fn enters(&self) -> bool {
        self.purpose != Purpose::Call
    }

    /// The name of its directory.
    pub(super) fn name(&self) -> String {
        format!("sys_{}_{}", if self.enters() { "enter" } else { "exit" }, self.call)
    }

    /// The filter for the wanted hits.
    pub(super) fn filter(&self) -> Option<CString> {
        if self.purpose != Purpose::Ioctl {
            return None;
        }
        let calls = SystemCall::all().filter(|call| call.name == self.call);
        let requests = calls.flat_map(|call| call.counts.ranges()).map(|(request, _)| request);
        // Also matches requests that a program passed as negative numbers.
        let both = requests
            .flat_map(|request| [u64::from(request), i64::from(request as i32).cast_unsigned()]);
        let words: Vec<String> = both.map(|request| format!("cmd == {request:#x}")).collect();
        CString::new(words.join(" || ")).ok()
    }

    /// The kind of a call, and its arguments without leftover register contents. `None` if it
    /// cannot change an address space.
    ///
    /// Pointers are not followed: the node mask of mbind(2), the range of userfaultfd ioctls, the
    /// vectors of process_madvise(2), the name of `PR_SET_VMA_ANON_NAME`.
    pub(super) fn wanted(&self, args: [u64; 6]) -> Option<(CallKind, [u64; 6])> {
        let call = heard(NATIVE, u64::try_from(self.number).ok()?, &args)?;
        let (kind, args, _) = arrange(call, NATIVE, args, |_, _| false)?;
        Some((kind, args))
    }
}

/// All tracepoints: those of the table's calls that change an address space or make a task.
/// Tracepoints that a kernel lacks are skipped.
pub(super) static TRACEPOINTS: LazyLock<Vec<Tracepoint>> = LazyLock::new(|| {
    let mut points: Vec<Tracepoint> = Vec::new();
    for call in SystemCall::all() {
        let purpose = match call.meaning {
            Meaning::Change(_) if call.form == Form::Ioctl => Purpose::Ioctl,
            Meaning::Change(_) => Purpose::Call,
            Meaning::Clone => Purpose::Clone,
            Meaning::Clone3 => Purpose::Clone3,
            Meaning::Vfork => Purpose::Vfork,
            Meaning::Fork => Purpose::Fork,
            _ => continue,
        };
        let Some(number) = call.number(NATIVE) else { continue };
        if points.iter().all(|point| point.call != call.name) {
            points.push(Tracepoint { call: call.name, number: number.into(), purpose });
        }
    }
    points
});

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str) -> Tracepoint {
        *TRACEPOINTS.iter().find(|point| point.call == name).unwrap()
    }

    #[test]
    fn names_and_filters() {
        assert_eq!(TRACEPOINTS.len(), 33);
        assert_eq!(point("mmap").name(), "sys_exit_mmap");
        assert_eq!(point("vfork").name(), "sys_enter_vfork");
        assert_eq!(point("mmap").filter(), None);
        let expect = c"cmd == 0xc020aa00 || cmd == 0xffffffffc020aa00 || cmd == 0x8010aa01 || \
                       cmd == 0xffffffff8010aa01";
        assert_eq!(point("ioctl").filter().as_deref(), Some(expect));
    }

    #[test]
    fn calls_that_change_nothing_are_not_wanted() {
        let with = |name, first: u64, third| point(name).wanted([first, 2, third, 4, 5, 6]);
        assert_eq!(with("madvise", 1, 3), None);
        // Its pages are touched again.
        assert_eq!(with("madvise", 1, 4), Some((CallKind::Madvise, [1, 2, 4, 0, 0, 0])));
        assert_eq!(with("prctl", 22, 0), None);
        assert_eq!(with("prctl", 67, 0), Some((CallKind::Prctl, [67, 2, 0, 4, 5, 0])));
        assert_eq!(with("arch_prctl", 0x1002, 0), None);
        assert_eq!(
            with("arch_prctl", 0x2003, 0),
            Some((CallKind::ArchPrctl, [0x2003, 2, 0, 0, 0, 0]))
        );
        assert_eq!(with("mlock", 1, 3), Some((CallKind::Mlock, [1, 2, 0, 0, 0, 0])));
        assert_eq!(with("mlock2", 1, 3), Some((CallKind::Mlock, [1, 2, 3, 0, 0, 0])));
    }
}
