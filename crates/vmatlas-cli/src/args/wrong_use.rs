//! One line for arguments that are refused, with what to type instead.

use super::order::Words;
use super::similar::similar_command;
use clap::Command;
use clap::error::{ContextKind, ContextValue};
use vmatlas::Open;

/// The line for words that clap refuses.
pub(crate) fn line(words: &Words, command: &Command, error: &clap::Error) -> String {
    if let Some(line) = of_words(&words.plain(command), command) {
        return line;
    }
    let text = error.to_string();
    let sentences = text.split("\n\n").next().unwrap_or_default().lines().map(str::trim);
    let line = sentences.collect::<Vec<_>>().join(" ");
    let line = line.trim_start_matches("error: ");
    if let Some(meant) = suggestion(error) {
        return format!("{line}; did you mean {meant}?");
    }
    let used = words.plain(command).first().and_then(|name| command.find_subcommand(name));
    let used = used.map(Command::get_name).filter(|name| *name != "help");
    let used = used.map(|name| format!(" {name}")).unwrap_or_default();
    format!("{line}; see vmatlas{used} --help")
}

/// The line for several words of which the first is no command.
fn of_words(plain: &[&str], command: &Command) -> Option<String> {
    let [first, rest @ ..] = plain else { return None };
    if command.find_subcommand(first).is_some() || rest.is_empty() {
        return None;
    }
    let shown = |words: &[&str]| words.join(" ");
    if let Some(at) = rest.iter().position(|word| command.find_subcommand(word).is_some()) {
        let mut others = plain.to_vec();
        let name = others.remove(at + 1);
        return Some(format!("a command comes first: vmatlas {name} {}", shown(&others)));
    }
    let is_target = Open::new(*first).is_file() || Open::new(*first).process().is_ok();
    if let Some(meant) = similar_command(first).filter(|_| !is_target) {
        let line = format!("{first} is no command; did you mean vmatlas {meant} {}?", shown(rest));
        return Some(line);
    }
    Some(format!(
        "{} TARGETs are given, and one is shown; vmatlas diff A B compares two, vmatlas at TARGET \
         ADDR shows what lies at an address",
        plain.len()
    ))
}

/// The option, value or command that clap finds similar.
fn suggestion(error: &clap::Error) -> Option<String> {
    let kinds =
        [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(one) => Some(one.clone()),
        ContextValue::Strings(several) => several.first().cloned(),
        _ => None,
    })
}
