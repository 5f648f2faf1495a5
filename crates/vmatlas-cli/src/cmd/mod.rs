//! One file for each command.

pub(crate) mod access;
pub(crate) mod at;
pub(crate) mod blame;
pub(crate) mod diff;
pub(crate) mod record;
pub(crate) mod show;
pub(crate) mod verify;
