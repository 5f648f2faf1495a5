//! `vmatlas record` on processors that the recorder does not support.

use crate::args::RecordArgs;
use crate::trouble::Trouble;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(_: &RecordArgs) -> Result<ExitCode, Trouble> {
    Err(Trouble::new("record works on x86-64 only; recordings made there can be read here"))
}

pub(crate) fn guard(_: &Path) {}
