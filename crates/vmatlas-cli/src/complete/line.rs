//! Completes a command line.

use super::candidate::{Completion, Native};
use super::position::{Place, Position};
use super::values;
use clap::Command;

/// Completes the last of the words that follow the program's name.
pub(super) fn complete(program: &Command, words: &[String]) -> Completion {
    let position = Position::of(program, words);
    let mut completion = match position.place {
        Place::Program(at) => {
            Completion { candidates: Vec::new(), native: Some(Native::Command(at)) }
        }
        Place::Option => values::options(&position),
        Place::Value(arg) => values::of(program, &position, arg),
        Place::Positional { arg, commands } => {
            let names = if commands { values::commands(position.command) } else { Vec::new() };
            let completion = arg.map(|arg| values::of(program, &position, arg));
            let mut completion = completion.unwrap_or_default();
            completion.candidates.splice(0..0, names);
            completion
        }
    };
    let whole = format!("{}{}", position.prefix, position.typed);
    completion.candidates.retain(|candidate| candidate.value.starts_with(&whole));
    completion
}
