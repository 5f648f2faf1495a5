//! The commands, one file each.

pub(crate) mod access;
mod address;
pub(crate) mod all;
pub(crate) mod at;
mod at_stdin;
pub(crate) mod audit;
pub(crate) mod blame;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod metrics;
mod nothing_matches;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod record;
#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
#[path = "cmd/no_record.rs"]
pub(crate) mod record;
pub(crate) mod save;
pub(crate) mod shared;
pub(crate) mod show;
mod show_one;
mod show_several;
mod target_words;
pub(crate) mod verify;
pub(crate) mod watch;

use crate::args::{CommonArgs, DEFAULT_PROC, MomentArgs};
use crate::output::notes;
use crate::trouble::Trouble;
use std::path::Path;
use vmatlas::words::{shell_target, shell_word};
use vmatlas::{Atlas, Filter, Open, Replace, words};

/// Prepares the target of a command.
fn open(target: &str, common: &CommonArgs, moment: &MomentArgs) -> Open {
    let open = Open::new(target).proc(&common.proc).limits(common.budget);
    open.pid(moment.pid).moment(moment.at)
}

/// The target and the options that select its process and moment, as they are typed in a shell.
fn typed(target: &str, common: &CommonArgs, moment: &MomentArgs) -> String {
    let mut line = shell_target(target);
    for (option, value) in [
        ("--pid", moment.pid.map(|pid| pid.to_string())),
        ("--at", moment.at.map(|at| at.to_string())),
    ] {
        line.extend(value.map(|value| format!(" {option} {value}")));
    }
    if !is_default_proc(common) {
        let proc = shell_word(common.proc.as_os_str().as_encoded_bytes());
        line.push_str(&format!(" --proc {proc}"));
    }
    line
}

/// Refuses `--proc` where no target is a process.
fn refuse_proc(opens: &[&Open], common: &CommonArgs) -> Result<(), Trouble> {
    let is_process = |open: &&Open| !matches!(open.process(), Ok(None));
    match is_default_proc(common) || opens.iter().any(is_process) {
        true => Ok(()),
        false => {
            let names: Vec<String> = opens.iter().map(|open| open.target().to_string()).collect();
            let names = names.join(", ");
            Err(Trouble::new(format!("{names}: --proc is about processes, and this is none")))
        }
    }
}

fn is_default_proc(common: &CommonArgs) -> bool {
    common.proc == Path::new(DEFAULT_PROC)
}

/// A filter for the rows of atlases: addresses lose the bits that are no part of them, with a note.
fn filter_of(atlases: &[&Atlas], filter: Option<&Filter>, common: &CommonArgs) -> Option<Filter> {
    let address = |pointer| {
        let is_mapped = atlases.iter().any(|atlas| atlas.maps().find(pointer).mapping.is_some());
        let tagged = atlases.iter().filter(|_| !is_mapped);
        let Some(tagged) = tagged.filter_map(|atlas| atlas.tagged(pointer)).next() else {
            return pointer;
        };
        if !common.quiet {
            notes::note(&words::tagged(&tagged));
        }
        tagged.address
    };
    Some(filter?.clone().map_addresses(address))
}

/// The existing files that a command may replace.
fn replace(force: bool) -> Replace {
    if force { Replace::Any } else { Replace::Own }
}
