//! The place of the unfinished word among the arguments.

use clap::{Arg, ArgAction, Command};

/// The unfinished word and what stands before it.
pub(super) struct Position<'c> {
    /// The command, or the program itself.
    pub(super) command: &'c Command,
    pub(super) place: Place<'c>,
    /// The options before it, and the positional arguments, with their values.
    pub(super) given: Vec<(&'c Arg, String)>,
    /// The part of the word before the value: `--by=`, `-p`.
    pub(super) prefix: String,
    /// The begun value.
    pub(super) typed: String,
}

/// What the unfinished word is.
#[derive(Clone, Copy)]
pub(super) enum Place<'c> {
    /// An option.
    Option,
    /// The value of an option.
    Value(&'c Arg),
    /// Another argument, or also a command.
    Positional { arg: Option<&'c Arg>, commands: bool },
    /// A word of a program to run, which begins at that word.
    Program(usize),
}

impl<'c> Position<'c> {
    /// `words` follow the name of the program; the last one is unfinished.
    pub(super) fn of(program: &'c Command, words: &[String]) -> Position<'c> {
        let (last, before) = words.split_last().map_or(("", words), |(last, rest)| (last, rest));
        let mut command = program;
        let mut given: Vec<(&Arg, String)> = Vec::new();
        let mut positionals = 0;
        let mut wants = None;
        let mut is_plain = false;
        for (at, word) in before.iter().enumerate() {
            if let Some(arg) = wants.take() {
                given.push((arg, word.clone()));
            } else if !is_plain && word == "--" {
                is_plain = true;
            } else if !is_plain && is_option(word) {
                match attached(command, word) {
                    Some((arg, value)) => given.push((arg, word[value..].to_owned())),
                    None => match option(command, word) {
                        Some(arg) if arg.get_action().takes_values() => wants = Some(arg),
                        Some(arg) => given.push((arg, String::new())),
                        None => {}
                    },
                }
            } else if let Some(own) = subcommand(command, word, positionals, is_plain) {
                command = own;
            } else {
                let arg = positional(command, positionals);
                if arg.is_some_and(Arg::is_trailing_var_arg_set) {
                    let place = Place::Program(at + 1);
                    let (prefix, typed) = (String::new(), last.to_owned());
                    return Position { command, place, given, prefix, typed };
                }
                given.extend(arg.map(|arg| (arg, word.clone())));
                positionals += 1;
            }
        }
        let mut value = 0;
        let place = match wants {
            Some(arg) => Place::Value(arg),
            None if !is_plain && last.starts_with('-') => match attached(command, last) {
                Some((arg, at)) => {
                    value = at;
                    Place::Value(arg)
                }
                None => Place::Option,
            },
            None => match positional(command, positionals) {
                Some(arg) if arg.is_trailing_var_arg_set() => Place::Program(words.len()),
                arg => Place::Positional {
                    arg,
                    commands: !is_plain && positionals == 0 && command.has_subcommands(),
                },
            },
        };
        let (prefix, typed) = (last[..value].to_owned(), last[value..].to_owned());
        Position { command, place, given, prefix, typed }
    }

    /// The value of an argument that stands before the word.
    pub(super) fn value(&self, id: &str) -> Option<&str> {
        let (_, value) = self.given.iter().find(|(arg, _)| arg.get_id() == id)?;
        Some(value)
    }

    /// The positional arguments before the word.
    pub(super) fn positionals(&self) -> impl Iterator<Item = &str> {
        let positional = self.given.iter().filter(|(arg, _)| arg.is_positional());
        positional.map(|(_, value)| value.as_str())
    }
}

fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

fn subcommand<'c>(
    command: &'c Command,
    word: &str,
    positionals: usize,
    is_plain: bool,
) -> Option<&'c Command> {
    command.find_subcommand(word).filter(|_| positionals == 0 && !is_plain)
}

/// The positional argument with a number; the last one may take several values.
fn positional(command: &Command, number: usize) -> Option<&Arg> {
    let all: Vec<&Arg> = command.get_positionals().filter(|arg| !arg.is_hide_set()).collect();
    let takes_several = |arg: &&&Arg| matches!(arg.get_action(), ArgAction::Append);
    all.get(number).or_else(|| all.last().filter(takes_several)).copied()
}

/// The option of the word, or the last one of several letters.
fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    match word.strip_prefix("--") {
        Some(name) => find(command, |arg| arg.get_long() == Some(name)),
        None => find(command, |arg| arg.get_short() == word.chars().next_back()),
    }
}

/// The option whose value stands in the same word, and where the value begins: `--by=kind`, `-p12`.
fn attached<'c>(command: &'c Command, word: &str) -> Option<(&'c Arg, usize)> {
    if let Some(rest) = word.strip_prefix("--") {
        let (name, _) = rest.split_once('=')?;
        let arg = find(command, |arg| arg.get_long() == Some(name))?;
        // A flag takes none, but then stands there.
        return Some((arg, name.len() + "--=".len()));
    }
    word.char_indices().skip(1).find_map(|(at, letter)| {
        let arg = find(command, |arg| arg.get_short() == Some(letter))?;
        let value = at + letter.len_utf8();
        (arg.get_action().takes_values() && value < word.len()).then_some((arg, value))
    })
}

/// An option of the command; before a command stand options of all of them.
fn find(command: &Command, is_it: impl Fn(&Arg) -> bool) -> Option<&Arg> {
    let of_commands = command.get_subcommands().flat_map(Command::get_arguments);
    command.get_arguments().chain(of_commands).find(|arg| is_it(arg))
}
