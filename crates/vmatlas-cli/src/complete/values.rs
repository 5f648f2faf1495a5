//! Candidates for options, commands and values.

use super::candidate::{Candidate, Completion, Native};
use super::position::Position;
use super::targets::{self, Targets};
use clap::{Arg, ArgAction, Command, ValueHint};
use std::any::TypeId;
use vmatlas::recording::Moment;
use vmatlas::{FIELDS, Field, FieldKind, FieldNeeds, Filter};

/// The options that can follow.
pub(super) fn options(position: &Position<'_>) -> Completion {
    let is_given =
        |arg: &Arg| position.given.iter().any(|(given, _)| given.get_id() == arg.get_id());
    let may_repeat = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
    let own = |arg: &Arg| position.command.get_arguments().any(|own| own.get_id() == arg.get_id());
    let excludes = |one: &Arg, other: &Arg| {
        let conflicts = position.command.get_arg_conflicts_with(one);
        conflicts.iter().any(|conflict| conflict.get_id() == other.get_id())
    };
    let conflicts = |arg: &Arg| {
        let mut given = position.given.iter().map(|(given, _)| *given).filter(|given| own(given));
        given.any(|given| excludes(given, arg) || excludes(arg, given))
    };
    let fits = position
        .command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && (!is_given(arg) || may_repeat(arg)) && !conflicts(arg));
    let option = |arg: &Arg| {
        let letter = arg.get_short().map(|letter| format!("-{letter}"));
        let name = match letter.filter(|letter| *letter == position.typed) {
            Some(letter) => letter,
            None => format!("--{}", arg.get_long()?),
        };
        Some(Candidate::new("", name, first_sentence(arg.get_help())))
    };
    Completion { candidates: fits.filter_map(option).collect(), native: None }
}

/// The commands that can follow.
pub(super) fn commands(command: &Command) -> Vec<Candidate> {
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    let candidate = |command: &Command| {
        Candidate::new("", command.get_name(), first_sentence(command.get_about()))
    };
    visible.map(candidate).collect()
}

fn first_sentence(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    line.split(". ").next().unwrap_or_default().to_owned()
}

/// The values that an argument can have.
pub(super) fn of(program: &Command, position: &Position<'_>, arg: &Arg) -> Completion {
    let native = |native| Completion { candidates: Vec::new(), native: Some(native) };
    let own = |candidates| Completion { candidates, native: None };
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let visible = possible.iter().filter(|value| !value.is_hide_set());
        return own(visible
            .map(|value| {
                Candidate::new(&position.prefix, value.get_name(), first_sentence(value.get_help()))
            })
            .collect());
    }
    match arg.get_value_hint() {
        ValueHint::Username => return native(Native::Users),
        ValueHint::DirPath => return native(Native::Directories),
        ValueHint::AnyPath | ValueHint::FilePath => return native(Native::Files),
        _ => {}
    }
    let parsed = arg.get_value_parser().type_id();
    if parsed == TypeId::of::<Filter>() {
        return own(conditions(&position.prefix, &position.typed));
    }
    if parsed == TypeId::of::<Moment>() {
        let target = position.positionals().next().unwrap_or_default();
        return own(targets::moments(&position.prefix, target, position.value("pid")));
    }
    let name = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name);
    let proc = position.value("proc").unwrap_or(crate::args::DEFAULT_PROC);
    let targets = Targets { proc, prefix: &position.prefix, typed: &position.typed };
    match (name, arg.is_positional()) {
        ("PID", _) => {
            let target = position.positionals().next();
            own(target
                .and_then(|target| targets.recorded(target))
                .unwrap_or_else(|| targets.pids()))
        }
        ("COLUMN", _) => own(columns(&position.prefix, "")),
        ("LIST", _) => own(columns(&position.prefix, &position.typed)),
        ("PROCESS", true) => own(targets.processes()),
        ("COMMAND", true) => own(commands(program)),
        ("ADDR", _) | (_, false) => own(Vec::new()),
        // Only processes.
        (_, true) if arg.get_value_hint() == ValueHint::Other => own(targets.processes()),
        (_, true) => targets.all(),
    }
}

/// Columns that are not in the list, after its last comma.
fn columns(prefix: &str, list: &str) -> Vec<Candidate> {
    let begin = list.rfind(',').map_or(0, |comma| comma + 1);
    let listed: Vec<&str> = list[..begin].split(',').collect();
    let prefix = format!("{prefix}{}", &list[..begin]);
    let others = FIELDS.iter().filter(|field| !listed.contains(&field.name));
    others.map(|field| Candidate::new(&prefix, field.name, about(field))).collect()
}

/// The type of a field in words.
fn about(field: &Field) -> String {
    let kind = match field.kind {
        FieldKind::Address => "address",
        FieldKind::Bytes => "bytes",
        FieldKind::Number => "number",
        FieldKind::Flag => "true or false",
        _ => "text",
    };
    match field.needs {
        FieldNeeds::Sizes => format!("{kind}, of smaps"),
        _ => kind.to_owned(),
    }
}

/// Words that can follow in a condition. A shell closes the quotes after a word that is the only
/// one, so that word goes on with those after it.
fn conditions(prefix: &str, typed: &str) -> Vec<Candidate> {
    let candidate = |next: &vmatlas::NextWord| Candidate {
        value: format!("{prefix}{}", next.text),
        shown: next.text[next.begin..].to_owned(),
        about: next.field.map(about).unwrap_or_default(),
        goes_on: true,
    };
    let next = Filter::next_words(typed);
    let [only] = &next[..] else { return next.iter().map(candidate).collect() };
    let whole = only.text.parse::<Filter>().is_ok().then(|| candidate(only));
    let after = Filter::next_words(&format!("{} ", only.text));
    if after.is_empty() {
        return vec![candidate(only)];
    }
    whole.into_iter().chain(after.iter().map(candidate)).collect()
}
