//! Whole programs to be measured, and how their output is checked.

use crate::measure::{Contender, cpu_nanos};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The number of mappings, and the sum of their starts if the output shows starts.
pub type Seen = (u64, Option<u64>);

/// A program with arguments.
pub struct Invocation {
    /// Its name in the results.
    pub name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// Parses its output.
    read: fn(&str) -> Option<Seen>,
}

impl Invocation {
    /// A program with arguments; its name is that of the program with all arguments but the PID.
    pub fn new(program: &Path, arguments: &[&str], read: fn(&str) -> Option<Seen>) -> Self {
        let base = program.file_name().unwrap_or_default().to_string_lossy();
        let shown = arguments.iter().filter(|word| word.parse::<u32>().is_err());
        let shown = shown.map(|word| word.rsplit('/').next().unwrap_or(word));
        Invocation {
            name: std::iter::once(&*base).chain(shown).collect::<Vec<_>>().join(" "),
            program: program.to_owned(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            read,
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        command
    }

    /// Runs it once to check its output.
    fn check(&self, expected: Option<Seen>) -> Result<(), String> {
        let Output { status, stdout, stderr } =
            self.command().output().map_err(|error| format!("missing: {error}"))?;
        if !status.success() {
            let said = String::from_utf8_lossy(&stderr);
            let last = said.lines().last().unwrap_or_default();
            let missing = said.contains("ModuleNotFoundError");
            return Err(format!("{}{last}", if missing { "missing: " } else { "failed: " }));
        }
        let Some(expected) = expected else { return Ok(()) };
        let text = String::from_utf8_lossy(&stdout);
        match (self.read)(&text) {
            Some((rows, sum)) if rows == expected.0 && (sum.is_none() || sum == expected.1) => {
                Ok(())
            }
            seen => Err(format!("wrong answer: {seen:?}, not {expected:?}")),
        }
    }

    /// Measures the time from start to end.
    pub fn contender(&self, expected: Option<Seen>) -> Contender<'_> {
        let checked = self.check(expected);
        Contender::timed(&self.name, move || {
            checked.clone()?;
            let mut command = self.command();
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let from = Instant::now();
            let status = command.status().map_err(|error| error.to_string())?;
            let nanos = from.elapsed().as_nanos() as f64;
            if status.success() { Ok(nanos) } else { Err(format!("failed: {status}")) }
        })
    }

    /// Measures the CPU time of `runs` runs, with that of all processes it starts, for each of them.
    pub fn cpu_contender(&self, runs: u32, expected: Option<Seen>) -> Contender<'_> {
        let checked = self.check(expected);
        Contender::timed(&self.name, move || {
            checked.clone()?;
            let before = cpu_nanos()?;
            for _ in 0..runs {
                let mut command = self.command();
                command.stdout(Stdio::null()).stderr(Stdio::null());
                let status = command.status().map_err(|error| error.to_string())?;
                if !status.success() {
                    return Err(format!("failed: {status}"));
                }
            }
            Ok((cpu_nanos()? - before) / f64::from(runs))
        })
    }
}

/// Counts the lines that begin with a hexadecimal address: rows of maps, pmap, CSV.
pub fn listed(text: &str) -> Option<Seen> {
    let (mut rows, mut sum) = (0, 0u64);
    for line in text.lines() {
        let line = line.trim_start();
        let line = line.strip_prefix("0x").unwrap_or(line);
        let digits = line.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits >= 8 {
            rows += 1;
            sum = sum.wrapping_add(u64::from_str_radix(&line[..digits], 16).ok()?);
        }
    }
    Some((rows, Some(sum)))
}

/// Counts the mappings of a JSON document.
pub fn document(text: &str) -> Option<Seen> {
    let document: Value = serde_json::from_str(text).ok()?;
    let mappings = document["mappings"].as_array()?;
    let start = |mapping: &Value| {
        u64::from_str_radix(mapping["start"].as_str()?.strip_prefix("0x")?, 16).ok()
    };
    let sum = mappings.iter().try_fold(0u64, |sum, one| Some(sum.wrapping_add(start(one)?)))?;
    Some((mappings.len() as u64, Some(sum)))
}

/// Accepts any output: the table for people wraps lines and sums up.
pub fn anything(text: &str) -> Option<Seen> {
    listed(text)
}
