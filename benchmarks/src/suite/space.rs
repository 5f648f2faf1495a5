//! The model of an address space: its operations, lookup, text and size. Target: ten times as fast
//! as the kernel's own calls, twice as fast as the best container of ranges.

use super::Scale;
use crate::measure::{Contender, race};
use crate::peers::ranges::{self, Ranges};
use crate::report::{Section, Target};
use crate::target::{Many, compile, repository};
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use vmatlas_maps::Maps;
use vmatlas_space::{AddressSpace, KernelProfile};

/// Measures operations at three sizes, lookup and text.
pub fn run(scale: Scale, many: &Many) -> Vec<Section> {
    let mut sections = vec![few(scale)];
    for mappings in [65_000, 1_000_000].map(|mappings| scale.rows(mappings)) {
        sections.push(edits(scale, mappings));
    }
    sections.push(lookup(scale, scale.rows(65_000)));
    sections.push(render(scale, many));
    sections
}

/// The number of operations in a run.
const OPERATIONS: u64 = 40_000;

/// Measures 100 mappings against the system calls.
fn few(scale: Scale) -> Section {
    let mut section =
        Section::new("an operation (map, unmap, protect) on an address space of 100 mappings");
    let dir = tempfile::tempdir().expect("a directory for a program");
    let calls = compile(&repository().join("benchmarks/peers/address_space.c"), dir.path());
    let mut space = ranges::space(100);
    let series = race(
        scale.rounds(31),
        vec![
            Contender::timed("the kernel's own calls, in C", || {
                ask(calls.as_ref()?, 100, OPERATIONS)
            }),
            edit("vmatlas::space::AddressSpace", 100, &mut space).warm(),
        ],
    );
    let [kernel, ours] = &series[..] else { unreachable!("two ran") };
    section.times(kernel, kernel, &[]);
    section.times(ours, kernel, &[Target::Faster(10.0, kernel), Target::Within(150.0)]);
    section.note("A run of the model that counts comes right after one that does not.");
    section
}

/// Measures many mappings against containers of ranges.
fn edits(scale: Scale, mappings: u64) -> Section {
    let mut section = Section::new(format!(
        "an operation (map, unmap, protect) on an address space of {mappings} mappings"
    ));
    let mut space = ranges::space(mappings);
    let mut rangemap = ranges::RangeMap::of(mappings);
    let mut nodit = ranges::Nodit::of(mappings);
    let series = race(
        scale.rounds(31),
        vec![
            edit("vmatlas::space::AddressSpace", mappings, &mut space),
            edit("rangemap", mappings, &mut rangemap),
            edit("nodit", mappings, &mut nodit),
        ],
    );
    let [ours, peers @ ..] = &series[..] else { unreachable!("three ran") };
    let targets: Vec<_> = peers.iter().map(|peer| Target::Faster(2.0, peer)).collect();
    section.times(ours, ours, &targets);
    peers.iter().for_each(|peer| section.times(peer, ours, &[]));
    section.note(
        "The peers hold a protection for each range and join equal neighbours; they know no hidden \
         flags, files, reverse maps, limits or errors.",
    );
    section
}

/// One run of the operations, which leave the address space as it was.
fn edit<'a>(name: &str, mappings: u64, ranges: &'a mut impl Ranges) -> Contender<'a> {
    Contender::timed(name, move || {
        let from = Instant::now();
        ranges::operate(ranges, mappings, OPERATIONS);
        let nanos = from.elapsed().as_nanos() as f64 / OPERATIONS as f64;
        match ranges.count() {
            count if count == mappings => Ok(nanos),
            count => Err(format!("wrong answer: {count} mappings, not {mappings}")),
        }
    })
}

fn lookup(scale: Scale, mappings: u64) -> Section {
    let mut section = Section::new(format!("lookup of an address among {mappings} mappings"));
    let (space, rangemap, nodit) =
        (ranges::space(mappings), ranges::RangeMap::of(mappings), ranges::Nodit::of(mappings));
    let addresses: Vec<u64> = ranges::addresses(mappings).take(100_000).collect();
    let expected =
        addresses.iter().fold(0u64, |sum, address| sum.wrapping_add(ranges::start_of(*address)));
    let look = |name: &str, find: &'static str| {
        let (space, rangemap, nodit, addresses) = (&space, &rangemap, &nodit, &addresses);
        Contender::new(name, addresses.len() as u64, expected, move || {
            let sum = |find: &dyn Fn(u64) -> u64| {
                addresses.iter().fold(0u64, |sum, at| sum.wrapping_add(find(*at)))
            };
            Ok(match find {
                "space" => sum(&|at| space.find(at).map_or(0, |range| range.start)),
                "rangemap" => sum(&|at| rangemap.start(at)),
                _ => sum(&|at| nodit.start(at)),
            })
        })
    };
    let series = race(
        scale.rounds(31),
        vec![
            look("vmatlas::space::AddressSpace", "space"),
            look("rangemap", "rangemap"),
            look("nodit", "nodit"),
        ],
    );
    let [ours, peers @ ..] = &series[..] else { unreachable!("three ran") };
    let targets: Vec<_> = peers.iter().map(|peer| Target::AtMost(1.0, peer)).collect();
    section.times(ours, ours, &targets);
    peers.iter().for_each(|peer| section.times(peer, ours, &[]));
    section
}

/// Measures the text of a model that has the rows of a live process, against the kernel's.
fn render(scale: Scale, many: &Many) -> Section {
    let mut section = Section::new(format!("text of {} rows", many.answer.rows));
    let maps = Maps::parse(&many.text).unwrap();
    let mut profile = KernelProfile::of("6.18".parse().expect("a version"));
    let gate = maps.iter().find(|row| row.name == b"[vsyscall]");
    profile.vsyscall = match gate {
        None => vmatlas_space::Vsyscall::None,
        Some(row) if row.perms.read() => vmatlas_space::Vsyscall::Emulate,
        Some(_) => vmatlas_space::Vsyscall::ExecuteOnly,
    };
    let space = AddressSpace::from_rows(profile, maps.iter());
    let same = |text: &Vec<u8>| {
        if *text == many.text { Ok(()) } else { Err("another text".to_owned()) }
    };
    let path = format!("/proc/{}/maps", many.pid());
    let rows = many.answer.rows;
    let series = race(
        scale.rounds(31),
        vec![
            Contender::checked(
                "the kernel's, read",
                rows,
                || std::fs::read(&path).map_err(|error| error.to_string()),
                same,
            )
            .warm(),
            Contender::checked("AddressSpace::render", rows, || Ok(space.render()), same).warm(),
        ],
    );
    let [kernel, ours] = &series[..] else { unreachable!("two ran") };
    section.times(kernel, kernel, &[]);
    section.times(ours, kernel, &[Target::Faster(4.0, kernel)]);
    section
}

/// The nanoseconds that the kernel takes for an operation.
fn ask(program: &Path, mappings: u64, operations: u64) -> Result<f64, String> {
    let output = Command::new(program)
        .args([mappings.to_string(), operations.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    match numbers[..] {
        [nanos, 0, rows] if rows == mappings => Ok(nanos as f64 / operations as f64),
        _ => Err(format!("wrong answer: {said}")),
    }
}
