//! Parses scenario files.

mod line;
mod operation;
mod row;

use super::error::{ScenarioError, ScenarioErrorKind as Kind};
use super::words::{COMPARISONS, REGIONS, nearest, value_of};
use super::{Fact, Operation, Region, Scenario, Step, StepKind, VersionCondition};
use line::{Line, Result};
use std::collections::BTreeMap;

/// Parses the scenarios of a file, in order; an invalid one yields an error, and the next follows.
///
/// ```
/// let text = b"scenario a\nmap 0 1 rwz\nend\nscenario b\nmap 0 1 rw\nexpect\n  0-1 rw-p\nend\n";
/// let (good, bad): (Vec<_>, Vec<_>) = vmatlas_space::scenario::scenarios(text).partition(Result::is_ok);
/// assert_eq!((good.len(), bad.len()), (1, 1));
/// assert!(bad[0].as_ref().unwrap_err().to_string().starts_with("line 2, column 9: "));
/// ```
pub fn scenarios(text: &[u8]) -> Scenarios<'_> {
    Scenarios { rest: text, number: 0, pending: None }
}

/// The scenarios of a file, see [`scenarios`].
#[derive(Clone, Debug)]
pub struct Scenarios<'a> {
    rest: &'a [u8],
    number: u32,
    /// The `scenario` line that ended a scenario without `end`.
    pending: Option<(&'a [u8], u32)>,
}

impl Scenario {
    /// Parses all scenarios of a file.
    ///
    /// # Errors
    /// An error for each scenario that is invalid, or that shares its name and some kernel versions
    /// with an earlier one.
    pub fn parse_file(text: &[u8]) -> std::result::Result<Vec<Scenario>, Vec<ScenarioError>> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        // By name and first version: the last version and the line. Equal names never overlap.
        let mut known: BTreeMap<(String, u32), (u32, u32)> = BTreeMap::new();
        for scenario in scenarios(text) {
            let scenario = match scenario {
                Ok(scenario) => scenario,
                Err(error) => {
                    bad.push(error);
                    continue;
                }
            };
            let Scenario { name, line, .. } = &scenario;
            let (low, high) = scenario.versions();
            let before = known.range(..=(name.clone(), high)).next_back();
            match before.filter(|((other, _), (last, _))| other == name && *last >= low) {
                _ if low > high => {}
                Some((_, (_, other))) => {
                    let kind = Kind::SameName { line: *other };
                    bad.push(ScenarioError { kind, line: *line, column: 1 });
                }
                None => {
                    known.insert((name.clone(), low), (high, *line));
                }
            }
            good.push(scenario);
        }
        if bad.is_empty() { Ok(good) } else { Err(bad) }
    }

    /// The first and the last kernel version that it holds for, each as one number.
    fn versions(&self) -> (u32, u32) {
        use super::Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        self.kernel.iter().fold((0, u32::MAX), |(low, high), condition| {
            let version = u32::from(condition.version.0) << 16 | u32::from(condition.version.1);
            match condition.comparison {
                // No kernel version is below 0.0.
                Less => (low.max(u32::from(version == 0)), high.min(version.saturating_sub(1))),
                LessOrEqual => (low, high.min(version)),
                Equal => (low.max(version), high.min(version)),
                GreaterOrEqual => (low.max(version), high),
                Greater => (low.max(version.saturating_add(1)), high),
            }
        })
    }
}

impl Iterator for Scenarios<'_> {
    type Item = Result<Scenario>;

    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, number) = self.next_line()?;
        let scenario = self.scenario(bytes, number);
        // After an error, parsing continues after the `end`.
        match &scenario {
            Ok(_) | Err(ScenarioError { kind: Kind::MissingEnd { .. }, .. }) => {}
            Err(_) => self.skip_to_end(),
        }
        Some(scenario)
    }
}

impl<'a> Scenarios<'a> {
    /// The next line that is neither blank nor a comment.
    fn next_line(&mut self) -> Option<(&'a [u8], u32)> {
        if let Some(pending) = self.pending.take() {
            return Some(pending);
        }
        while !self.rest.is_empty() {
            let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let line = self.rest[..end].trim_ascii_end();
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            self.number = self.number.saturating_add(1);
            if line.trim_ascii_start().first().is_some_and(|b| *b != b'#') {
                return Some((line, self.number));
            }
        }
        None
    }

    /// Skips to after the next `end`, or before the next `scenario`.
    fn skip_to_end(&mut self) {
        while let Some((line, number)) = self.next_line() {
            match first_word(line) {
                b"end" => return,
                b"scenario" => {
                    self.pending = Some((line, number));
                    return;
                }
                _ => {}
            }
        }
    }

    /// Parses the scenario whose first line is given.
    fn scenario(&mut self, bytes: &'a [u8], number: u32) -> Result<Scenario> {
        let mut line = text_line(bytes, number)?;
        if !line.keyword("scenario") {
            return line.fail(line.at(), Kind::OutsideScenario);
        }
        let mut scenario = Scenario {
            name: line.name("NAME")?,
            line: number,
            kernel: Vec::new(),
            needs: Vec::new(),
            region: Region::default(),
            steps: Vec::new(),
        };
        line.must_end()?;
        let mut has_region = false;
        loop {
            let Some((bytes, number)) = self.next_line() else {
                let kind = Kind::MissingEnd { line: scenario.line };
                return Err(ScenarioError { kind, line: self.number, column: 1 });
            };
            if first_word(bytes) == b"scenario" {
                self.pending = Some((bytes, number));
                let kind = Kind::MissingEnd { line: scenario.line };
                return Err(ScenarioError { kind, line: number, column: 1 });
            }
            let mut line = text_line(bytes, number)?;
            if first_word(bytes) == b"end" {
                line.keyword("end");
                return line.must_end().map(|()| scenario);
            }
            add_line(&mut scenario, &mut has_region, line)?;
        }
    }
}

/// Parses a line between `scenario` and `end`.
fn add_line(scenario: &mut Scenario, has_region: &mut bool, mut line: Line<'_>) -> Result<()> {
    let number = line.number();
    if line.rest().starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return match scenario.steps.last_mut().map(|step| &mut step.kind) {
            Some(StepKind::Expect(rows)) => {
                rows.push(row::row(&mut line, rows.last())?);
                Ok(())
            }
            _ => line.fail(line.at(), Kind::RowOutsideExpect),
        };
    }
    let (at, word) = line.word("an operation")?;
    if matches!(word, "kernel" | "needs" | "region") && !scenario.steps.is_empty() {
        return line.fail(at, Kind::LateCondition);
    }
    match word {
        "kernel" => conditions(&mut line, &mut scenario.kernel)?,
        "needs" => needs(&mut line, &mut scenario.needs)?,
        "region" => {
            if std::mem::replace(has_region, true) {
                return line.fail(at, Kind::Repeated);
            }
            let (at, word) = line.word("a region")?;
            scenario.region =
                value_of(&REGIONS, word).ok_or_else(|| line.error(at, Kind::Region))?;
        }
        "expect" => {
            scenario.steps.push(Step { line: number, kind: StepKind::Expect(Vec::new()) });
        }
        _ => {
            let operation: Operation = operation::operation(&mut line, at, word)?;
            let outcome = operation::outcome(&mut line, &operation)?;
            let kind = StepKind::Operation(operation, outcome);
            scenario.steps.push(Step { line: number, kind });
        }
    }
    line.must_end()
}

fn conditions(line: &mut Line<'_>, kernel: &mut Vec<VersionCondition>) -> Result<()> {
    loop {
        let (at, word) = line.word("a condition like >= 6.18")?;
        let comparison =
            value_of(&COMPARISONS, word).ok_or_else(|| line.error(at, Kind::Comparison))?;
        let (at, word) = line.word("a version")?;
        let numbers = word.split_once('.').and_then(|(a, b)| Some((number(a)?, number(b)?)));
        let version = numbers.ok_or_else(|| line.error(at, Kind::Version))?;
        kernel.push(VersionCondition { comparison, version });
        if line.rest().is_empty() {
            return Ok(());
        }
    }
}

fn number(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
}

fn needs(line: &mut Line<'_>, needs: &mut Vec<Fact>) -> Result<()> {
    loop {
        let (at, word) = line.word("a fact")?;
        let fact = value_of(&Fact::ALL, word).ok_or_else(|| {
            let near = nearest(word, Fact::ALL.into_iter().map(|(_, word)| word));
            line.error(at, Kind::Fact { near })
        })?;
        if needs.contains(&fact) {
            return line.fail(at, Kind::Repeated);
        }
        needs.push(fact);
        if line.rest().is_empty() {
            return Ok(());
        }
    }
}

fn first_word(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii_start();
    &line[..line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len())]
}

fn text_line(bytes: &[u8], number: u32) -> Result<Line<'_>> {
    if let Some(nul) = bytes.iter().position(|byte| *byte == 0) {
        let column = u32::try_from(nul + 1).unwrap_or(u32::MAX);
        return Err(ScenarioError { kind: Kind::Nul, line: number, column });
    }
    std::str::from_utf8(bytes).map(|text| Line::new(text, number)).map_err(|error| {
        let column = u32::try_from(error.valid_up_to()).unwrap_or(u32::MAX).saturating_add(1);
        ScenarioError { kind: Kind::NotText, line: number, column }
    })
}
