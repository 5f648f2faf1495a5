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

#[cfg(test)]
mod tests {
    use super::complete;
    use crate::args::Cli;
    use clap::CommandFactory as _;

    fn values(words: &[&str]) -> Vec<String> {
        let mut program = Cli::command();
        program.build();
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        complete(&program, &words).candidates.into_iter().map(|found| found.value).collect()
    }

    /// Each option beside each other one: conflicts are looked up, and none is unknown to clap.
    #[test]
    fn options_of_every_command() {
        let program = Cli::command();
        for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
            let once = command
                .get_arguments()
                .filter(|arg| !matches!(arg.get_action(), clap::ArgAction::Append));
            for option in once.filter_map(clap::Arg::get_long) {
                let option = format!("--{option}");
                let offered = values(&[command.get_name(), "--"]);
                assert!(offered.contains(&option), "{} {option}", command.get_name());
                let others = values(&[command.get_name(), &format!("{option}="), "--"]);
                assert!(!others.contains(&option), "{} {option}", command.get_name());
            }
        }
    }

    #[test]
    fn options_that_exclude_each_other() {
        assert!(!values(&["show", "--json", "--"]).contains(&"--raw".to_owned()));
        assert!(!values(&["show", "--raw", "--"]).contains(&"--json".to_owned()));
        assert_eq!(values(&["show", "-p"]), ["-p"]);
        assert!(values(&["show", "--", "--js"]).is_empty());
    }
}
