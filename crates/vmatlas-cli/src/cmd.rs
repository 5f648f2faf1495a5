//! The commands, one file each.

pub(crate) mod access;
pub(crate) mod at;
pub(crate) mod blame;
pub(crate) mod diff;
pub(crate) mod explain;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod record;
#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
#[path = "cmd/no_record.rs"]
pub(crate) mod record;
pub(crate) mod show;
pub(crate) mod verify;

use crate::args::{CommonArgs, MomentArgs};
use vmatlas::{Open, Replace};

/// Prepares the target of a command.
fn open(target: &str, common: &CommonArgs, moment: &MomentArgs) -> Open {
    let open = Open::new(target).proc(&common.proc).limits(common.budget);
    open.pid(moment.pid).moment(moment.at)
}

/// The existing files that a command may replace.
fn replace(force: bool) -> Replace {
    if force { Replace::Any } else { Replace::Own }
}
