//! One line for arguments that are refused, with the whole command line to type instead.

use super::Cli;
use super::order::Words;
use super::similar::similar_command;
use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory as _};
use std::ffi::OsString;
use vmatlas::Open;

/// The most mistakes of one command line that are mended.
const MAX_MENDED: usize = 8;

/// The line for words that clap refuses.
pub(crate) fn line(words: &Words, command: &Command, error: &clap::Error) -> String {
    let Some((why, mended)) = mend(words, command, error) else {
        return without_suggestion(words, command, error);
    };
    answer(&why, &mend_all(mended, command))
}

fn answer(why: &str, mended: &Words) -> String {
    if why.starts_with(COMES_FIRST) {
        return format!("{why}: {}", mended.line());
    }
    format!("{why}; did you mean {}?", mended.line())
}

/// The line for several TARGETs of which one names nothing, if one is similar to a command or is
/// one: clap takes them all.
pub(crate) fn line_for_targets() -> Option<String> {
    let command = Cli::command();
    let words = Words::new(std::env::args_os().collect::<Vec<OsString>>());
    let (why, mended) = mend_command(&words, &command)?;
    Some(answer(&why, &mend_all(mended, &command)))
}

const COMES_FIRST: &str = "a command comes first";

/// Mends what else clap refuses.
fn mend_all(mut words: Words, command: &Command) -> Words {
    for _ in 0..MAX_MENDED {
        let refused = command.clone().try_get_matches_from(words.in_order(command));
        let mended = match refused.err() {
            Some(error) => mend(&words, command, &error),
            // It takes any words as TARGETs.
            None if words.plain(command).len() > 1 => mend_command(&words, command),
            None => None,
        };
        let Some((_, mended)) = mended else { break };
        words = mended;
    }
    words
}

/// The first mistake, and the words without it.
fn mend(words: &Words, command: &Command, error: &clap::Error) -> Option<(String, Words)> {
    // First options, because it is not known whether a word after a mistyped one is its value.
    let option = || Some((sentence(error), mend_option(words, error)?));
    option().or_else(|| mend_command(words, command))
}

/// Replaces the option or value that clap refuses by a similar one.
fn mend_option(words: &Words, error: &clap::Error) -> Option<Words> {
    let text = |kind| match error.get(kind)? {
        ContextValue::String(one) => Some(one.as_str()),
        ContextValue::Strings(several) => several.first().map(String::as_str),
        _ => None,
    };
    if let (Some(meant), Some(wrong)) =
        (text(ContextKind::SuggestedArg), text(ContextKind::InvalidArg))
    {
        return words.replace(|word| {
            let value = word.strip_prefix(wrong)?;
            (value.is_empty() || value.starts_with('=')).then(|| format!("{meant}{value}"))
        });
    }
    let meant = text(ContextKind::SuggestedValue)?;
    let wrong = text(ContextKind::InvalidValue)?;
    words.replace(|word| {
        let name = word.strip_suffix(wrong)?;
        (name.is_empty() || name.ends_with('=')).then(|| format!("{name}{meant}"))
    })
}

/// Puts the command first, or replaces a word by the command that is similar.
fn mend_command(words: &Words, command: &Command) -> Option<(String, Words)> {
    let plain = words.plain(command);
    let [first, rest @ ..] = plain.as_slice() else { return None };
    let is_command = |word: &&str| command.find_subcommand(word).is_some();
    if *first == "help" {
        let wrong = rest.iter().find(|word| !is_command(word))?;
        return Some((format!("{wrong} is no command"), similar(words, wrong)?));
    }
    if is_command(first) || rest.is_empty() {
        return None;
    }
    if let Some(mended) = words.command_first(command) {
        return Some((COMES_FIRST.to_owned(), mended));
    }
    let is_target = Open::new(*first).is_file() || Open::new(*first).process().is_ok();
    let mended = similar(words, first).filter(|_| !is_target)?;
    Some((format!("{first} is no command"), mended))
}

/// The words with the command that is similar to `wrong` in its place.
fn similar(words: &Words, wrong: &str) -> Option<Words> {
    let meant = similar_command(wrong)?;
    words.replace(|word| (word == wrong).then(|| meant.clone()))
}

/// The command line with the command that is similar to the word that names nothing.
pub(crate) fn with_similar_command(wrong: &str) -> Option<String> {
    let words = Words::new(std::env::args_os().collect::<Vec<OsString>>());
    similar(&words, wrong).map(|words| words.line())
}

fn without_suggestion(words: &Words, command: &Command, error: &clap::Error) -> String {
    let plain = words.plain(command);
    let used = plain.first().and_then(|name| command.find_subcommand(name));
    let used = used.map(Command::get_name).filter(|name| *name != "help");
    let used = used.map(|name| format!(" {name}")).unwrap_or_default();
    format!("{}; see vmatlas{used} --help", sentence(error))
}

/// What clap says, on one line.
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let sentences = text.split("\n\n").next().unwrap_or_default().lines().map(str::trim);
    let line = sentences.collect::<Vec<_>>().join(" ");
    line.trim_start_matches("error: ").to_owned()
}
