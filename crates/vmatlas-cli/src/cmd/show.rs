//! `vmatlas show [TARGET…]`: shows the annotated map, or lists several processes.

use super::{show_one::show, show_several};
use crate::args::no_target::asks_nothing;
use crate::args::{MomentArgs, ShowArgs};
use crate::trouble::Trouble;
use clap::ArgMatches;
use std::io::IsTerminal as _;
use vmatlas::names_several;

const NO_TARGET: &str = "no TARGET is given: add a PID, the name of a process, a file, or - for \
                         standard input; vmatlas self shows vmatlas itself";

pub(crate) fn run(args: &ShowArgs, matches: &ArgMatches) -> Result<bool, Trouble> {
    let (name, moment) = match (&args.targets[..], args.moment.pid) {
        ([_, _, ..], Some(_)) => {
            return Err(Trouble::new("--pid names a process of one TARGET, and several are given"));
        }
        ([target], _) if !names_several(&args.targets, &args.common.proc) => {
            (target.clone(), args.moment.clone())
        }
        ([_, ..], _) => return show_several::run(args),
        ([], Some(pid)) => (pid.to_string(), MomentArgs { pid: None, ..args.moment.clone() }),
        ([], None) if std::io::stdout().is_terminal() && asks_nothing(matches) => {
            ("self".to_owned(), MomentArgs::default())
        }
        ([], None) => return Err(Trouble::new(NO_TARGET)),
    };
    show(args, &name, &moment, !args.no_header)
}
