//! The words with which an unfinished command line can go on, from the definition of the arguments.
//!
//! The scripts of the shells run `vmatlas completions SHELL -- WORDS` at each press of the key. That
//! prints no errors, runs nothing and reads no rows of a process.

mod candidate;
mod files;
mod line;
mod position;
pub(crate) mod shells;
mod targets;
mod values;
mod words;
