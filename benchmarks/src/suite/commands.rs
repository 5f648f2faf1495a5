//! Whole programs, from start to end, with their output discarded. Target: `--raw` and `--json`
//! four times as fast as pmap, `--sizes` ten times as fast as `pmap -X`.

use super::Scale;
use crate::invocation::{Invocation, anything, document, listed};
use crate::measure::race;
use crate::report::{Section, Target};
use crate::target::{Many, repository};
use std::path::Path;

/// Measures the text and fields of maps, and the sizes of smaps.
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

    vec![maps, labels, sizes]
}
