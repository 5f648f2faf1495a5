//! What the script of each shell gets.

use super::candidate::{Candidate, Completion, Native};
use super::files;
use super::line::complete;
use super::words::{Word, split, unquoted};
use clap::Command;
use clap_complete::Shell;

/// The script of a shell that asks for candidates; `None` if it does not.
pub(crate) fn script(shell: Shell) -> Option<&'static str> {
    match shell {
        Shell::Bash => Some(include_str!("scripts/vmatlas.bash")),
        Shell::Zsh => Some(include_str!("scripts/vmatlas.zsh")),
        Shell::Fish => Some(include_str!("scripts/vmatlas.fish")),
        _ => None,
    }
}

/// The lines that the script of the shell reads.
pub(crate) fn answer(shell: Shell, program: &Command, words: &[String]) -> String {
    match (shell, words) {
        (Shell::Bash, [line, text, kind]) => bash(program, line, text, kind),
        // zsh removes the quotes.
        (Shell::Zsh, [_, words @ ..]) => zsh(&complete(program, words)),
        (Shell::Fish, [_, words @ .., last]) => {
            let words: Vec<String> = words.iter().cloned().chain([unquoted(last)]).collect();
            fish(&complete(program, &words))
        }
        _ => String::new(),
    }
}

/// A line that names what the shell completes itself. No candidate begins like that.
fn native(native: Native) -> String {
    match native {
        Native::Files => "files\n".to_owned(),
        Native::Directories => "directories\n".to_owned(),
        Native::Users => "users\n".to_owned(),
        Native::Command(at) => format!("command {at}\n"),
    }
}

/// `COMP_TYPE` where candidates are listed and not inserted.
const LISTED: &str = "63";

/// bash: `line` up to the cursor, the end of its last word that bash replaces, and `COMP_TYPE`. Each
/// candidate is a line `=TEXT`, quoted: bash inserts it as it is.
fn bash(program: &Command, line: &str, text: &str, kind: &str) -> String {
    let mut words = split(line);
    let last = words.pop().unwrap_or_default();
    let texts = words.iter().skip(1).map(|word| word.text.clone());
    let texts: Vec<String> = texts.chain([last.text.clone()]).collect();
    let mut completion = complete(program, &texts);
    // In the place of candidates, bash completes files itself, as with `~` and variables.
    if completion.native == Some(Native::Files) && !completion.candidates.is_empty() {
        completion.candidates.extend(files::beginning_with("", &last.text));
    }
    let candidates = &completion.candidates;
    let mut lines = String::new();
    if kind == LISTED && candidates.len() > 1 {
        let width = candidates.iter().map(|candidate| candidate.shown.chars().count()).max();
        let width = width.unwrap_or(0).min(24);
        for Candidate { shown, about, .. } in candidates {
            match about.as_str() {
                "" => lines.push_str(&format!("={shown}\n")),
                about => lines.push_str(&format!("={shown:width$}  ({})\n", cut(about))),
            }
        }
    } else {
        for reply in candidates.iter().filter_map(|candidate| reply(&last, text, candidate)) {
            lines.push_str(&format!("={reply}\n"));
        }
    }
    lines + &completion.native.map(native).unwrap_or_default()
}

/// A meaning that fits beside its word on most screens.
fn cut(about: &str) -> String {
    const WIDTH: usize = 50;
    match about.chars().count() > WIDTH {
        true => about.chars().take(WIDTH - 1).chain(['…']).collect(),
        false => about.to_owned(),
    }
}

/// What stands in the place of `text`, the end of the word.
fn reply(word: &Word, text: &str, candidate: &Candidate) -> Option<String> {
    let rest = candidate.value.strip_prefix(&word.text)?;
    let kept = word.raw.strip_suffix(text)?;
    let mut raw = word.with(rest, text, candidate.goes_on);
    if !candidate.goes_on {
        // bash closes quotes, too, but not where the word ends with such a letter.
        raw.push(word.open.unwrap_or(' '));
    }
    Some(raw.strip_prefix(kept)?.to_owned())
}

/// zsh: a line `+VALUE`, or `=VALUE` if no blank follows, with tabs before the shown part and its
/// meaning.
fn zsh(completion: &Completion) -> String {
    let line = |candidate: &Candidate| {
        let kind = if candidate.goes_on { '=' } else { '+' };
        format!("{kind}{}\t{}\t{}\n", candidate.value, candidate.shown, candidate.about)
    };
    let lines: String = completion.candidates.iter().map(line).collect();
    lines + &completion.native.map(native).unwrap_or_default()
}

/// fish: a line `=VALUE` with a tab before its meaning.
fn fish(completion: &Completion) -> String {
    let line = |candidate: &Candidate| format!("={}\t{}\n", candidate.value, candidate.about);
    let lines: String = completion.candidates.iter().map(line).collect();
    lines + &completion.native.map(native).unwrap_or_default()
}
