//! The processor time of another process.

use std::time::Duration;

/// The processor time that all threads of a process have used, without that of threads since they
/// run; `None` if there is no such process. The pid is one of our pid namespace. Every user may ask
/// for it.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    // `CPUCLOCK_SCHED` of a process, see clock_getcpuclockid(3) and include/linux/posix-timers.h.
    const CPUCLOCK_SCHED: i32 = 2;
    let clock = (!i32::try_from(pid).ok()? << 3) | CPUCLOCK_SCHED;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, to which the pointer leads.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    (result == 0).then(|| Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)))
}
