//! Whole programs, from start to end, with their output discarded. Target: `--raw` and `--json`
//! four times as fast as pmap, `--sizes` ten times as fast as `pmap -X`, and the same start-up
//! time.

use super::Scale;
use crate::measure::{Contender, race};
use crate::report::{Section, Target};
use crate::target::{Many, repository};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The number of mappings, and the sum of their starts if the output shows starts.
type Seen = (u64, Option<u64>);

/// A program with arguments.
struct Invocation {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// Parses its output.
    read: fn(&str) -> Option<Seen>,
}

impl Invocation {
    fn new(program: &Path, arguments: &[&str], read: fn(&str) -> Option<Seen>) -> Self {
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

    fn contender(&self, expected: Option<Seen>) -> Contender<'_> {
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
}

/// Measures the text and fields of maps, the sizes of smaps, and a small process.
pub fn run(scale: Scale, many: &Many, programs: &Path) -> Vec<Section> {
    let vmatlas = programs.join("vmatlas");
    let pid = many.pid().to_string();
    let rows = many.answer.rows;
    let expected = Some((rows, Some(many.answer.starts)));
    let ours = |arguments: &[&str], read| Invocation::new(&vmatlas, arguments, read);
    let pmap = |arguments: &[&str]| Invocation::new(Path::new("pmap"), arguments, listed);

    let all = [
        pmap(&[&pid]),
        ours(&["show", "--raw", &pid], listed),
        ours(&["show", "--json", &pid], document),
        ours(&["show", "--csv", &pid], listed),
        ours(&["show", "--wide", &pid], anything),
        Invocation::new(Path::new("cat"), &[&format!("/proc/{pid}/maps")], listed),
    ];
    let series = race(scale.rounds(15), all.iter().map(|one| one.contender(expected)).collect());
    let [peer, raw, json, others @ ..] = &series[..] else { unreachable!("six ran") };
    let mut maps = Section::new(format!("commands on a live process of {rows} rows"));
    maps.times(peer, peer, &[]);
    maps.times(raw, peer, &[Target::Faster(4.0, peer)]);
    maps.times(json, peer, &[Target::Faster(4.0, peer)]);
    others.iter().for_each(|other| maps.times(other, peer, &[]));
    maps.note(
        "`cat` takes the time that the kernel needs to write the text: no program can be faster.",
    );

    let columns = "start,end,size,perms,offset,name";
    let labelled = format!("{columns},label,confidence");
    let show = |columns| ours(&["show", "--no-header", "--columns", columns, &pid], listed);
    let all = [show(columns), show(&labelled)];
    let series = race(scale.rounds(15), all.iter().map(|one| one.contender(expected)).collect());
    let mut labels = Section::new(format!("labels of a live process of {rows} rows"));
    labels.times(&series[0], &series[0], &[]);
    labels.times(&series[1], &series[0], &[Target::AtMost(2.0, &series[0])]);
    labels.note("the same table without and with labels, without --deep.");

    let script = repository().join("benchmarks/peers/psutil_maps.py").display().to_string();
    let all = [
        pmap(&["-X", &pid]),
        ours(&["show", "--sizes", "--raw", &pid], listed),
        ours(&["show", "--sizes", "--json", &pid], document),
        ours(&["show", "--sizes", "--wide", &pid], anything),
        Invocation::new(Path::new("python3"), &[&script, &pid], |text| {
            Some((text.trim().parse().ok()?, None))
        }),
        Invocation::new(Path::new("cat"), &[&format!("/proc/{pid}/smaps")], listed),
    ];
    let series = race(scale.rounds(7), all.iter().map(|one| one.contender(expected)).collect());
    let mut sizes = Section::new(format!("commands with sizes on a live process of {rows} rows"));
    sizes.times(&series[0], &series[0], &[]);
    for one in &series[1..4] {
        sizes.times(one, &series[0], &[Target::Faster(10.0, &series[0])]);
    }
    series[4..].iter().for_each(|other| sizes.times(other, &series[0], &[]));
    sizes.note("psutil's time includes the start of Python. All of these read smaps.");

    let small = Command::new("sleep").arg("600").spawn();
    let Ok(mut small) = small else { return vec![maps, labels, sizes] };
    let small_pid = small.id().to_string();
    let all = [
        pmap(&[&small_pid]),
        ours(&["show", "self"], anything),
        ours(&["show", &small_pid], anything),
        ours(&["show", "--raw", &small_pid], anything),
    ];
    let series = race(scale.rounds(101), all.iter().map(|one| one.contender(None)).collect());
    let mut start = Section::new("start-up: commands on a small process");
    start.times(&series[0], &series[0], &[]);
    start.times(&series[1], &series[0], &[Target::AtMost(1.0, &series[0])]);
    start.times(&series[2], &series[0], &[]);
    start.times(&series[3], &series[0], &[]);
    start.note("pmap and the lines without `self` look at a `sleep`.");
    // The child may have ended by itself.
    let _ = small.kill();
    let _ = small.wait();
    vec![maps, labels, sizes, start]
}

/// Counts the lines that begin with a hexadecimal address: rows of maps, pmap, CSV.
fn listed(text: &str) -> Option<Seen> {
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

fn document(text: &str) -> Option<Seen> {
    let document: Value = serde_json::from_str(text).ok()?;
    let mappings = document["mappings"].as_array()?;
    let start = |mapping: &Value| {
        u64::from_str_radix(mapping["start"].as_str()?.strip_prefix("0x")?, 16).ok()
    };
    let sum = mappings.iter().try_fold(0u64, |sum, one| Some(sum.wrapping_add(start(one)?)))?;
    Some((mappings.len() as u64, Some(sum)))
}

/// Accepts any output: the table for people wraps lines and sums up.
fn anything(text: &str) -> Option<Seen> {
    listed(text)
}
