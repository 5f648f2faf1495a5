//! Runs against the clock.

use std::time::Instant;

/// A program in a race.
pub struct Contender<'a> {
    /// What it is called in the results.
    pub name: String,
    run: Box<dyn FnMut() -> Result<f64, String> + 'a>,
}

impl<'a> Contender<'a> {
    /// One that times itself: gives nanoseconds.
    pub fn timed(name: &str, run: impl FnMut() -> Result<f64, String> + 'a) -> Self {
        Contender { name: name.to_owned(), run: Box::new(run) }
    }

    /// One whose time is divided by `units`, and whose answer must be `expected`.
    pub fn new<A: PartialEq + std::fmt::Display + 'a>(
        name: &str,
        units: u64,
        expected: A,
        run: impl FnMut() -> Result<A, String> + 'a,
    ) -> Self {
        let tell = |answer: &A| answer.to_string();
        let expected_text = tell(&expected);
        Contender::checked(name, units, run, move |answer| {
            if *answer == expected {
                Ok(())
            } else {
                Err(format!("{}, not {expected_text}", tell(answer)))
            }
        })
    }

    /// The same, but each run that counts comes right after one that does not, so that what ran
    /// before has not emptied its caches.
    pub fn warm(mut self) -> Self {
        let mut run = self.run;
        self.run = Box::new(move || run().and_then(|_| run()));
        self
    }

    /// One whose result is looked at, and dropped, when the clock has stopped.
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

/// The times of a program, in nanoseconds, or why it was not measured.
pub struct Series {
    /// What the program is called.
    pub name: String,
    /// One time for each round, in the order of the rounds.
    pub nanos: Result<Vec<f64>, String>,
}

impl Series {
    /// The time in the middle.
    pub fn median(&self) -> Option<f64> {
        self.nanos.as_ref().ok().and_then(|nanos| median(nanos))
    }

    /// The shortest time.
    pub fn best(&self) -> Option<f64> {
        self.nanos.as_ref().ok()?.iter().copied().min_by(f64::total_cmp)
    }

    /// How many times as long as `other` this took: the middle of the ratios of all rounds, since
    /// the two ran side by side in each.
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

/// Lets all run in turn, `rounds` times, after a first turn that does not count. Whoever fails
/// once is out.
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

/// A time with its unit.
pub fn shown(nanos: f64) -> String {
    match nanos {
        _ if nanos < 1e3 => format!("{nanos:.1} ns"),
        _ if nanos < 1e6 => format!("{:.2} µs", nanos / 1e3),
        _ => format!("{:.2} ms", nanos / 1e6),
    }
}
