//! The command as its users run it.
mod format;
mod live;
mod strace;
mod text;
mod verify;
mod vmatlas;
