//! `benchmarks [--quick] [--only NAME]`: measures, prints tables, and keeps full runs in results/.

use benchmarks::machine;
use benchmarks::report::Section;
use benchmarks::suite::{
    Scale, addresses, build, commands, core, deep, lookup, many, memory, parse, profiles, record,
    snapshot, space,
};
use benchmarks::target::{Many, repository};
use std::path::Path;
use std::process::ExitCode;

const MEASURES: [&str; 13] = [
    "addresses",
    "build",
    "parse",
    "memory",
    "core",
    "record",
    "deep",
    "many",
    "snapshot",
    "lookup",
    "space",
    "commands",
    "profiles",
];

fn main() -> ExitCode {
    let mut scale = Scale { quick: false };
    let mut only = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => scale.quick = true,
            "--only" => only = arguments.next().filter(|name| MEASURES.contains(&name.as_str())),
            _ => only = None,
        }
        if argument != "--quick" && only.is_none() {
            eprintln!("usage: benchmarks [--quick] [--only {}]", MEASURES.join("|"));
            return ExitCode::from(2);
        }
    }
    let machine = machine::describe();
    println!("{machine}");
    let sections = match run(scale, only.as_deref()) {
        Ok(sections) => sections,
        Err(why) => {
            eprintln!("benchmarks: {why}");
            return ExitCode::from(2);
        }
    };
    let missed: Vec<_> = sections.iter().flat_map(|section| &section.missed).collect();
    println!("{} targets missed or programs not measured", missed.len());
    missed.iter().for_each(|missed| println!("- {missed}"));
    if !scale.quick && only.is_none() {
        let day = machine::today();
        let path = repository().join(format!("benchmarks/results/{day}.md"));
        let tables: String = sections.iter().map(Section::to_string).collect();
        let text = format!("# Results of {day}\n\n{machine}\n{}\n", tables.trim_end());
        if let Err(error) = std::fs::write(&path, text) {
            eprintln!("benchmarks: {}: {error}", path.display());
            return ExitCode::from(2);
        }
        println!("kept in {}", path.display());
    }
    // Times depend on the machine and its load; a wrong answer is always a fault.
    let wrong = |missed: &&String| ["wrong answer", "failed"].iter().any(|w| missed.contains(w));
    ExitCode::from(u8::from(missed.iter().any(wrong)))
}

fn run(scale: Scale, only: Option<&str>) -> Result<Vec<Section>, String> {
    let wanted = |measure: &str| only.is_none_or(|only| only == measure);
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let programs = program.parent().unwrap_or(Path::new("."));
    let mut sections = Vec::new();
    let mut keep = |section: Section| {
        println!("{section}");
        sections.push(section);
    };
    if wanted("addresses") {
        keep(addresses::run(scale, programs));
    }
    if wanted("build") {
        keep(build::run(scale));
    }
    if wanted("parse") {
        keep(parse::run(scale, scale.rows(7_000), 101));
        if !scale.quick {
            keep(parse::run(scale, 60_000, 15));
        }
    }
    if wanted("memory") {
        keep(memory::run(scale, programs));
    }
    if wanted("core") {
        keep(core::run(scale, programs));
    }
    if wanted("record") {
        record::run(scale, programs).into_iter().for_each(&mut keep);
    }
    if wanted("deep") {
        keep(deep::run(scale, programs));
    }
    if wanted("many") {
        keep(many::run(scale, programs));
    }
    if !["snapshot", "lookup", "space", "commands", "profiles"].into_iter().any(wanted) {
        return Ok(sections);
    }
    let many = Many::start(scale.rows(60_000))?;
    if wanted("snapshot") {
        keep(snapshot::run(scale, &many));
    }
    if wanted("lookup") {
        keep(lookup::run(scale, &many));
    }
    if wanted("space") {
        space::run(scale, &many).into_iter().for_each(&mut keep);
    }
    if wanted("commands") {
        commands::run(scale, &many, programs).into_iter().for_each(&mut keep);
    }
    if wanted("profiles") {
        profiles::run(scale, &many, programs).into_iter().for_each(keep);
    }
    Ok(sections)
}
