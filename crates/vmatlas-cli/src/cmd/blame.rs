//! `vmatlas blame RECORDING`: who made what is mapped.

use crate::args::BlameArgs;
use crate::trouble::Trouble;

pub(crate) fn run(_args: &BlameArgs) -> Result<bool, Trouble> {
    Ok(true)
}
