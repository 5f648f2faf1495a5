//! All rows of a live process. Target: 1.10 times the bare reading of the text.

use super::Scale;
use crate::answer::Answer;
use crate::measure::{Contender, race};
use crate::peers::{proc_maps, procfs, rsprocmaps, vmatlas};
use crate::report::{Section, Target};
use crate::target::Many;
use std::fs::File;
use std::io::Read as _;

const SIZES: [usize; 5] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// Measures and returns the table.
pub fn run(scale: Scale, many: &Many) -> Section {
    let pid = many.pid();
    let mut section =
        Section::new(format!("snapshot of a live process of {} rows", many.answer.rows));
    let length = many.text.len();
    let bare = |size: usize| {
        let mut buffer = vec![0; size];
        let name = format!("bare read, buffer of {} KiB", size >> 10);
        Contender::new(&name, 1, length, move || read(pid, &mut buffer)).warm()
    };
    // The bare loop gets the buffer size that suits it best.
    let tried = race(scale.rounds(9), SIZES.map(bare).into());
    let best = (0..SIZES.len())
        .min_by(|&a, &b| tried[a].median().partial_cmp(&tried[b].median()).expect("times"));
    let series = race(
        scale.rounds(31),
        vec![
            bare(SIZES[best.unwrap_or(2)]),
            live("vmatlas, Process::rows", many, vmatlas::live, vmatlas::sum),
            live("procfs", many, procfs::live, procfs::sum),
            live("proc-maps", many, proc_maps::live, proc_maps::sum),
        ],
    );
    // This peer is slow, and no target depends on it.
    let slow = live("rsprocmaps", many, rsprocmaps::live, rsprocmaps::sum);
    let slow = race(scale.rounds(3), vec![slow, bare(64 << 10)]);
    let [bare, ours, peers @ ..] = &series[..] else { unreachable!("four ran") };
    section.times(bare, bare, &[]);
    section.times(ours, bare, &[Target::AtMost(1.10, bare)]);
    peers.iter().for_each(|peer| section.times(peer, bare, &[]));
    section.times(&slow[0], &slow[1], &[]);
    section.note("`Process::rows` includes the check that the snapshot is not torn.");
    section
}

/// A program that reads and keeps all rows; adding them up is not timed.
fn live<M>(
    name: &str,
    many: &Many,
    read: impl Fn(u32) -> Result<M, String> + 'static,
    sum: impl Fn(&M) -> Answer + 'static,
) -> Contender<'static> {
    let (pid, expected) = (many.pid(), many.answer);
    Contender::checked(
        name,
        1,
        move || read(pid),
        move |maps| match sum(maps) {
            answer if answer == expected => Ok(()),
            answer => Err(format!("{answer}, not {expected}")),
        },
    )
    .warm()
}

fn read(pid: u32, buffer: &mut [u8]) -> Result<usize, String> {
    let mut file = File::open(format!("/proc/{pid}/maps")).map_err(|error| error.to_string())?;
    let mut length = 0;
    loop {
        match file.read(buffer).map_err(|error| error.to_string())? {
            0 => return Ok(length),
            more => length += more,
        }
    }
}
