//! `vmatlas at TARGET ADDR…`: shows all known facts about addresses.

use super::address::{addresses, parse};
use super::target_words::TargetWords;
use super::{at_stdin, open, refuse_proc};
use crate::args::AtArgs;
use crate::output::at::At;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use vmatlas::{Needs, Place, Request};

pub(crate) fn run(args: &AtArgs) -> Result<bool, Trouble> {
    let words = words(args)?;
    let from_stdin = words.rest == ["-"];
    if from_stdin && words.target == "-" {
        return Err(Trouble::new(
            "standard input cannot be both the target and the addresses; give a file for one",
        ));
    }
    let locations = if from_stdin { Vec::new() } else { parse(&words.rest)? };
    let open = open(&words.target, &args.common, &words.moment)
        .deep(args.memory.deep)
        .freeze(args.memory.freeze);
    refuse_proc(&[&open], &args.common)?;
    let atlas = open.needs(Needs::NAMES | Needs::ORIGINS | Needs::LABELS).open()?;
    if args.memory.deep {
        atlas.require(Request::Memory)?;
    }
    let format = Format::with_csv(&args.common, args.csv);
    if from_stdin {
        return at_stdin::run(&atlas, format, &args.common);
    }
    let places = atlas.at_all(&addresses(&atlas, &locations)?);
    // Some files are read only for the addresses.
    notes::of_atlas(&atlas, &args.common);
    let answer = At { atlas: &atlas, places: &places, is_first: true };
    output::print(&answer, format, &args.common)?;
    Ok(places.iter().all(Place::is_mapped))
}

fn words(args: &AtArgs) -> Result<TargetWords, Trouble> {
    let (first, rest) = (args.target.as_deref(), &args.addresses);
    let mut words = TargetWords::new(first, rest, &args.moment, &args.common)?;
    if words.rest.is_empty()
        && words.target == "-"
        && let Some(pid) = words.moment.pid.take()
    {
        (words.target, words.rest) = (pid.to_string(), vec!["-".to_owned()]);
    }
    if words.rest.is_empty() {
        return Err(Trouble::new(
            "an address is missing: vmatlas at TARGET ADDR, or at --pid PID ADDR",
        ));
    }
    Ok(words)
}
