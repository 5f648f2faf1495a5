//! `vmatlas at TARGET ADDR…`: shows all known facts about addresses.

use super::open;
use crate::args::AtArgs;
use crate::output::at::At;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use vmatlas::{Needs, Place};

pub(crate) fn run(args: &AtArgs) -> Result<bool, Trouble> {
    let open = open(&args.target, &args.common, &args.moment).deep(args.deep).freeze(args.freeze);
    let atlas = open.needs(Needs::NAMES | Needs::ORIGINS | Needs::LABELS).open()?;
    let places = atlas.at_all(&args.addresses);
    // Some files are read only for the addresses.
    notes::of_atlas(&atlas, &args.common);
    output::print(&At(&places), Format::of(&args.common), &args.common)?;
    Ok(places.iter().all(Place::is_mapped))
}
