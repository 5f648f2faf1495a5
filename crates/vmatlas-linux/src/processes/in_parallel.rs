//! Work on many processes by a few threads.

use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The most threads that work at the same time.
const MAX_THREADS: usize = 8;
/// The most threads that may hang: a reader waits for the lock of an address space.
const MAX_HANGING: usize = 32;

/// The answers of several processes.
pub struct Answers<T> {
    /// The answers by process ID, in the order of the list.
    pub answers: Vec<(u32, T)>,
    /// The processes that did not answer in time.
    pub silent: Vec<u32>,
}

/// What the threads share.
struct Shared<T> {
    state: Mutex<State<T>>,
    /// Wakes the caller when a thread has ended.
    ended: Condvar,
}

struct State<T> {
    pids: Vec<u32>,
    /// The place of the next process.
    next: usize,
    answers: Vec<(usize, T)>,
    /// What each thread works at, and since when.
    running: Vec<Option<(usize, Instant)>>,
    /// The threads that have not ended and were not given up.
    threads: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work` for each process, by as many threads as there are processors, at most eight. A
/// process that takes longer than `limit` is given up, and costs only its own answer.
pub fn in_parallel<T: Send + 'static>(
    pids: Vec<u32>,
    limit: Duration,
    work: impl Fn(u32) -> T + Send + Sync + 'static,
) -> Answers<T> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(MAX_THREADS).min(pids.len());
    let state = State { pids, next: 0, answers: Vec::new(), running: Vec::new(), threads: 0 };
    let shared = Arc::new(Shared { state: Mutex::new(state), ended: Condvar::new() });
    let work = Arc::new(work);
    (0..threads).for_each(|_| start(&shared, &work));
    // Often enough that a process is given up soon after its time.
    let pause = (limit / 4).clamp(Duration::from_millis(1), Duration::from_millis(250));
    let mut silent = Vec::new();
    let mut state = shared.lock();
    while state.threads > 0 {
        state = shared.ended.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        let late = |slot: &mut Option<(usize, Instant)>| {
            slot.take_if(|(_, since)| since.elapsed() > limit)
        };
        let late: Vec<usize> =
            state.running.iter_mut().filter_map(late).map(|(place, _)| place).collect();
        state.threads -= late.len();
        silent.extend(&late);
        drop(state);
        late.iter().filter(|_| silent.len() < MAX_HANGING).for_each(|_| start(&shared, &work));
        state = shared.lock();
    }
    // Nobody was left to ask these.
    silent.extend(state.next..state.pids.len());
    silent.sort_unstable();
    let mut answers = std::mem::take(&mut state.answers);
    answers.sort_unstable_by_key(|(place, _)| *place);
    Answers {
        answers: answers.into_iter().map(|(place, answer)| (state.pids[place], answer)).collect(),
        silent: silent.into_iter().map(|place| state.pids[place]).collect(),
    }
}

/// Starts a thread that works until no process is left.
fn start<T: Send + 'static>(
    shared: &Arc<Shared<T>>,
    work: &Arc<impl Fn(u32) -> T + Send + Sync + 'static>,
) {
    let number = {
        let mut state = shared.lock();
        state.threads += 1;
        state.running.push(None);
        state.running.len() - 1
    };
    let (its, work) = (shared.clone(), work.clone());
    let worker = thread::Builder::new().name("vmatlas-process".to_owned());
    let started = worker.spawn(move || {
        while let Some((place, pid)) = next(&its, number) {
            let answer = work(pid);
            let mut state = its.lock();
            if state.running[number].take().is_none() {
                // It came too late: this thread was given up, and another one works.
                return;
            }
            state.answers.push((place, answer));
        }
        its.lock().threads -= 1;
        its.ended.notify_one();
    });
    if started.is_err() {
        shared.lock().threads -= 1;
    }
}

/// The next process, which the thread now works at.
fn next<T>(shared: &Shared<T>, number: usize) -> Option<(usize, u32)> {
    let mut state = shared.lock();
    let place = state.next;
    let pid = *state.pids.get(place)?;
    state.next += 1;
    state.running[number] = Some((place, Instant::now()));
    Some((place, pid))
}

#[cfg(test)]
mod tests {
    use super::in_parallel;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::Duration;

    #[test]
    fn answers_keep_their_order() {
        let pids: Vec<u32> = (0..1000).rev().collect();
        let found = in_parallel(pids.clone(), Duration::from_secs(60), |pid| pid * 2);
        assert!(found.silent.is_empty());
        let expected: Vec<(u32, u32)> = pids.into_iter().map(|pid| (pid, pid * 2)).collect();
        assert_eq!(found.answers, expected);
        assert!(in_parallel(Vec::new(), Duration::ZERO, |pid| pid).answers.is_empty());
    }

    /// More hang than there are threads on most machines, and the rest is still asked.
    #[test]
    fn what_hangs_costs_only_its_own_answer() {
        let release = Arc::new(AtomicBool::new(false));
        let wait = release.clone();
        // Long enough for all others on a busy machine.
        let found = in_parallel((0..20).collect(), Duration::from_secs(5), move |pid| {
            while pid < 4 && !wait.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
            pid
        });
        release.store(true, Relaxed);
        assert_eq!(found.silent, [0, 1, 2, 3]);
        assert_eq!(found.answers.len(), 16);
    }
}
