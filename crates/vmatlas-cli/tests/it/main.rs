//! The command as its users run it.
mod live;
mod text;
mod vmatlas;
