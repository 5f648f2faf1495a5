//! Candidates for the unfinished word.

/// A word that can stand in the place of the unfinished one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The whole word.
    pub(super) value: String,
    /// The part of it that is new.
    pub(super) shown: String,
    /// Its meaning in a few words, or nothing. Both are safe to print.
    pub(super) about: String,
    /// Whether the word may go on, so that no blank follows.
    pub(super) goes_on: bool,
}

impl Candidate {
    pub(super) fn new(
        prefix: &str,
        value: impl Into<String>,
        about: impl Into<String>,
    ) -> Candidate {
        let shown = value.into();
        Candidate { value: format!("{prefix}{shown}"), shown, about: about.into(), goes_on: false }
    }

    pub(super) fn going_on(self) -> Candidate {
        Candidate { goes_on: true, ..self }
    }
}

/// What a shell completes by its own means, beside the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Native {
    Files,
    Directories,
    Users,
    /// A command with its arguments, which begins at this word, counted from 0, the program's name.
    Command(usize),
}

/// The completion of a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Completion {
    pub(super) candidates: Vec<Candidate>,
    pub(super) native: Option<Native>,
}
