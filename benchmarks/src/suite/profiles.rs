//! The two profiles that a user may build with, `release` and `dist`: start-up and throughput. Targets:
//! a small process as soon as pmap, and the sizes of a large one in 1.3 times the reading of smaps.

use super::Scale;
use crate::invocation::{Invocation, anything, document, listed};
use crate::measure::race;
use crate::report::{Section, Target};
use crate::target::{Many, Small};
use std::path::{Path, PathBuf};

/// The profiles, whose programs are in folders of these names beside each other.
const PROFILES: [&str; 2] = ["release", "dist"];

/// Measures and returns the tables. `programs` is the folder of one profile; a quick run has no other.
pub fn run(scale: Scale, many: &Many, programs: &Path) -> Vec<Section> {
    let other = |name: &str| programs.with_file_name(name).join("vmatlas");
    let profiles: Vec<(&str, PathBuf)> = PROFILES
        .into_iter()
        .filter(|name| !scale.quick || programs.ends_with(name))
        .map(|name| (name, other(name)))
        .collect();
    vec![start(scale, &profiles), throughput(scale, many, &profiles)]
}

fn of_profiles(
    profiles: &[(&str, PathBuf)],
    arguments: &[&str],
    read: fn(&str) -> Option<crate::invocation::Seen>,
) -> Vec<Invocation> {
    let one = |(profile, program): &(&str, PathBuf)| {
        let mut invocation = Invocation::new(program, arguments, read);
        invocation.name = format!("{}, {profile}", invocation.name);
        invocation
    };
    profiles.iter().map(one).collect()
}

fn start(scale: Scale, profiles: &[(&str, PathBuf)]) -> Section {
    let mut section = Section::new("profiles: start-up on a small process");
    let small = match Small::start("sleep", &["600"]) {
        Ok(small) => small,
        Err(why) => {
            section.count("sleep", &why, "", None);
            return section;
        }
    };
    let pid = small.pid().to_string();
    let mut all = vec![Invocation::new(Path::new("pmap"), &[&pid], anything)];
    for arguments in [&["show", "self"][..], &["show", &pid], &["show", "--raw", &pid]] {
        all.extend(of_profiles(profiles, arguments, anything));
    }
    let series = race(scale.rounds(101), all.iter().map(|one| one.contender(None)).collect());
    let [peer, ours @ ..] = &series[..] else { unreachable!("pmap ran") };
    section.times(peer, peer, &[]);
    for (place, one) in ours.iter().enumerate() {
        let is_self = place < profiles.len();
        let target = if is_self { Target::AtMost(1.0, peer) } else { Target::None };
        section.times(one, peer, &[target]);
    }
    section.note("pmap and the lines without `self` look at a `sleep`.");
    section
}

fn throughput(scale: Scale, many: &Many, profiles: &[(&str, PathBuf)]) -> Section {
    let pid = many.pid().to_string();
    let rows = many.answer.rows;
    let expected = Some((rows, Some(many.answer.starts)));
    let mut section =
        Section::new(format!("profiles: throughput on a live process of {rows} rows"));
    let cat =
        |file: &str| Invocation::new(Path::new("cat"), &[&format!("/proc/{pid}/{file}")], listed);
    let mut maps = vec![cat("maps")];
    maps.extend(of_profiles(profiles, &["show", "--raw", &pid], listed));
    maps.extend(of_profiles(profiles, &["show", "--json", &pid], document));
    maps.extend(of_profiles(profiles, &["show", "--wide", &pid], anything));
    let mut smaps = vec![cat("smaps")];
    smaps.extend(of_profiles(profiles, &["show", "--sizes", "--json", &pid], document));
    for (all, most) in [(maps, None), (smaps, Some(1.3))] {
        let contenders = all.iter().map(|one| one.contender(expected)).collect();
        let series = race(scale.rounds(15), contenders);
        section.times(&series[0], &series[0], &[]);
        for one in &series[1..] {
            let target = most.map_or(Target::None, |most| Target::AtMost(most, &series[0]));
            section.times(one, &series[0], &[target]);
        }
    }
    section.note("`cat` takes the time that the kernel needs to write the text.");
    section
}
