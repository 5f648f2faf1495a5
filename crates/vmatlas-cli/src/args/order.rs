//! Options before the command: `vmatlas -q at self 0` means `vmatlas at -q self 0`.

use clap::{Arg, Command};
use std::ffi::OsString;
use vmatlas::words::shell_word;

/// The words of a command line, of which the first names the program.
pub(crate) struct Words {
    words: Vec<OsString>,
}

impl Words {
    pub(crate) fn new(words: Vec<OsString>) -> Words {
        Words { words }
    }

    /// The words with the options that precede a command behind it, where its own are.
    pub(crate) fn in_order(&self, command: &Command) -> Vec<OsString> {
        let mut words = self.words.clone();
        let first = self.positions(command).next();
        if let Some(at) = first.filter(|&at| at > 1 && self.is_command(at, command)) {
            // After `--` no word is a command, and the version has none.
            if !words[1..at].iter().any(|word| word == "--" || word == "--version" || word == "-V")
            {
                words[1..=at].rotate_right(1);
            }
        }
        words
    }

    /// The words that are no options and no values of options.
    pub(crate) fn plain(&self, command: &Command) -> Vec<&str> {
        self.positions(command).map(|at| self.words[at].to_str().unwrap_or_default()).collect()
    }

    /// The words with another one in the place of the first for which there is one, before `--`.
    pub(crate) fn replace(&self, with: impl Fn(&str) -> Option<String>) -> Option<Words> {
        let ours = self.words.iter().enumerate().skip(1).take_while(|(_, word)| *word != "--");
        let mut changed = ours.filter_map(|(at, word)| Some((at, with(word.to_str()?)?)));
        let (at, word) = changed.next()?;
        let mut words = self.words.clone();
        words[at] = word.into();
        Some(Words { words })
    }

    /// The words with the first command among the [`plain`](Words::plain) ones before all others.
    pub(crate) fn command_first(&self, command: &Command) -> Option<Words> {
        let at = self.positions(command).find(|&at| self.is_command(at, command))?;
        let mut words = self.words.clone();
        words[1..=at].rotate_right(1);
        Some(Words { words })
    }

    /// The command line, to be typed in a shell.
    pub(crate) fn line(&self) -> String {
        let words = self.words.iter().skip(1).map(|word| shell_word(word.as_encoded_bytes()));
        std::iter::once("vmatlas".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }

    fn is_command(&self, at: usize, command: &Command) -> bool {
        self.words[at].to_str().is_some_and(|word| command.find_subcommand(word).is_some())
    }

    /// The places of the words that are no options and no values of options.
    fn positions<'w>(&'w self, command: &'w Command) -> impl Iterator<Item = usize> + 'w {
        let mut at = 1;
        let mut is_plain = false;
        std::iter::from_fn(move || {
            while let Some(word) = self.words.get(at) {
                let here = at;
                let word = word.to_str().unwrap_or_default();
                let is_option = word.starts_with('-') && word != "-" && !is_plain;
                at += if is_option { length(word, command) } else { 1 };
                is_plain |= word == "--";
                if !is_option {
                    return Some(here);
                }
            }
            None
        })
    }
}

/// How many words an option takes, itself and its value.
fn length(option: &str, command: &Command) -> usize {
    let takes_next = match option.strip_prefix("--") {
        Some(name) => {
            !name.contains('=') && takes_value(command, |arg| arg.get_long() == Some(name))
        }
        None => {
            // The first letter with a value takes the rest of the word, if there is one.
            let mut letters = option.chars().skip(1);
            let takes = |letter: char| takes_value(command, |arg| arg.get_short() == Some(letter));
            letters.any(takes) && letters.next().is_none()
        }
    };
    if takes_next { 2 } else { 1 }
}

fn takes_value(command: &Command, is_it: impl Fn(&Arg) -> bool) -> bool {
    let of_commands = command.get_subcommands().flat_map(Command::get_arguments);
    let arg = command.get_arguments().chain(of_commands).find(|arg| is_it(arg));
    arg.is_some_and(|arg| arg.get_action().takes_values())
}
