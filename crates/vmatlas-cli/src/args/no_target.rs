//! Whether vmatlas may show itself because no TARGET is given.

use super::Cli;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _};

/// The options that change only how a screen looks. Who gives another one asks about a target, which
/// may be missing by mistake, as after an empty `$(pgrep NAME)`.
const LOOKS: [&str; 2] = ["color", "wide"];

/// Whether no option asks for more than another look.
pub(crate) fn asks_nothing(matches: &ArgMatches) -> bool {
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let command = Cli::command();
    command.get_arguments().all(|arg| {
        let id = arg.get_id().as_str();
        LOOKS.contains(&id) || !given(id)
    })
}
