//! Measures the time of runs.

use std::fs;
use std::time::Instant;

/// A program to be measured.
pub struct Contender<'a> {
    /// Its name in the results.
    pub name: String,
    run: Box<dyn FnMut() -> Result<f64, String> + 'a>,
}

impl<'a> Contender<'a> {
    /// A program that times itself: `run` returns nanoseconds.
    pub fn timed(name: &str, run: impl FnMut() -> Result<f64, String> + 'a) -> Self {
        Contender { name: name.to_owned(), run: Box::new(run) }
    }

    /// A program whose time is divided by `units`, and whose answer must be `expected`.
    pub fn new<A: PartialEq + std::fmt::Display + 'a>(
        name: &str,
        units: u64,
        expected: A,
        run: impl FnMut() -> Result<A, String> + 'a,
    ) -> Self {
        let expected_text = expected.to_string();
        Contender::checked(name, units, run, move |answer| {
            if *answer == expected { Ok(()) } else { Err(format!("{answer}, not {expected_text}")) }
        })
    }

    /// Precedes each counted run by an uncounted one, so that earlier programs have not emptied its
    /// caches.
    pub fn warm(mut self) -> Self {
        let mut run = self.run;
        self.run = Box::new(move || run().and_then(|_| run()));
        self
    }

    /// A program whose result is checked and dropped after the clock has stopped.
    pub fn checked<A>(
        name: &str,
        units: u64,
        mut run: impl FnMut() -> Result<A, String> + 'a,
        check: impl Fn(&A) -> Result<(), String> + 'a,
    ) -> Self {
        Contender::timed(name, move || {
            let from = Instant::now();
            let answer = run()?;
            let nanos = from.elapsed().as_nanos() as f64 / units as f64;
            check(&answer).map_err(|why| format!("wrong answer: {why}"))?;
            Ok(nanos)
        })
    }
}

/// The times of a program in nanoseconds, or the reason why it was not measured.
pub struct Series {
    /// The name of the program.
    pub name: String,
    /// One time for each round, in the order of the rounds.
    pub nanos: Result<Vec<f64>, String>,
}

impl Series {
    /// The median time.
    pub fn median(&self) -> Option<f64> {
        self.nanos.as_ref().ok().and_then(|nanos| median(nanos))
    }

    /// The shortest time.
    pub fn best(&self) -> Option<f64> {
        self.nanos.as_ref().ok()?.iter().copied().min_by(f64::total_cmp)
    }

    /// The ratio of this program's time to `other`'s: the median of the ratios of all rounds,
    /// because the two ran side by side in each.
    pub fn ratio(&self, other: &Series) -> Option<f64> {
        let (these, others) = (self.nanos.as_ref().ok()?, other.nanos.as_ref().ok()?);
        median(&these.iter().zip(others).map(|(this, other)| this / other).collect::<Vec<_>>())
    }
}

fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Runs all programs in turn, `rounds` times, after a first turn that does not count. A program
/// that fails once is out.
pub fn race(rounds: usize, contenders: Vec<Contender<'_>>) -> Vec<Series> {
    let mut all: Vec<_> = contenders
        .into_iter()
        .map(|contender| (contender.run, Series { name: contender.name, nanos: Ok(Vec::new()) }))
        .collect();
    for round in 0..=rounds {
        for (run, series) in &mut all {
            let Ok(nanos) = &mut series.nanos else { continue };
            match run() {
                Ok(_) if round == 0 => {}
                Ok(time) => nanos.push(time),
                Err(why) => series.nanos = Err(why),
            }
        }
    }
    all.into_iter().map(|(_, series)| series).collect()
}

/// Formats a time with its unit.
pub fn shown(nanos: f64) -> String {
    match nanos {
        _ if nanos < 1e3 => format!("{nanos:.1} ns"),
        _ if nanos < 1e6 => format!("{:.2} µs", nanos / 1e3),
        _ => format!("{:.2} ms", nanos / 1e6),
    }
}

/// The CPU time of all ended children and of their descendants, in nanoseconds, to 10 ms.
///
/// # Errors
/// Fails where /proc/self/stat has no such times.
pub fn cpu_nanos() -> Result<f64, String> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(|error| error.to_string())?;
    // The name before may hold blanks: proc_pid_stat(5) counts `state` as 3, `cutime` as 16.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut ticks = fields.split_whitespace().skip(13).map_while(|field| field.parse::<f64>().ok());
    match (ticks.next(), ticks.next()) {
        // A tick is 10 ms for programs of every architecture in Rust's tier 1.
        (Some(user), Some(system)) => Ok((user + system) * 1e7),
        _ => Err("missing: times in /proc/self/stat".to_owned()),
    }
}
