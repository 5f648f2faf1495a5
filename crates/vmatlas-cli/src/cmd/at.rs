//! `vmatlas at TARGET ADDR…`: shows all known facts about addresses.

use super::address::parse;
use super::open;
use super::target_words::TargetWords;
use crate::args::AtArgs;
use crate::output::at::At;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use vmatlas::{Needs, Place, Request};

pub(crate) fn run(args: &AtArgs) -> Result<bool, Trouble> {
    let words =
        TargetWords::new(args.target.as_deref(), &args.addresses, &args.moment, &args.common)?;
    if words.rest.is_empty() {
        return Err(Trouble::new(
            "an address is missing: vmatlas at TARGET ADDR, or at --pid PID ADDR",
        ));
    }
    let addresses = words.rest.iter().map(|word| parse(word)).collect::<Result<Vec<u64>, _>>()?;
    let open = open(&words.target, &args.common, &words.moment).deep(args.deep).freeze(args.freeze);
    let atlas = open.needs(Needs::NAMES | Needs::ORIGINS | Needs::LABELS).open()?;
    if args.deep {
        atlas.require(Request::Memory)?;
    }
    let places = atlas.at_all(&addresses);
    // Some files are read only for the addresses.
    notes::of_atlas(&atlas, &args.common);
    output::print(&At(&places), Format::of(&args.common), &args.common)?;
    Ok(places.iter().all(Place::is_mapped))
}
