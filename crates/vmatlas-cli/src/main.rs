//! The `vmatlas` command: parses arguments, reads a target, prints an answer.

mod args;
mod cmd;
mod complete;
mod output;
mod trouble;

use args::order::Words;
use args::{Cli, Command, wrong_use};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use std::io::Write as _;
use std::process::ExitCode;
use trouble::Trouble;

fn main() -> ExitCode {
    vmatlas::serve_if_asked();
    let mut command = Cli::command();
    let words = Words::new(std::env::args_os().collect());
    let matches = command.try_get_matches_from_mut(words.in_order(&command));
    let parsed = matches.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => {
            return report(&Trouble::new(wrong_use::line(&words, &command, &error)));
        }
        // Help and version.
        Err(error) => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    run(&cli, &matches).unwrap_or_else(|trouble| match trouble {
        Trouble::ClosedPipe => ExitCode::SUCCESS,
        trouble => report(&trouble),
    })
}

/// Prints the line of an error, and its document if the arguments ask for JSON.
fn report(trouble: &Trouble) -> ExitCode {
    if args::asks_for_json(std::env::args_os()) {
        // If that fails, the line is left.
        let _ = std::io::stdout().write_all(&trouble.document().unwrap_or_default());
    }
    output::notes::note(&trouble.to_string());
    trouble.lines().iter().for_each(|line| output::notes::line(line));
    ExitCode::from(trouble.status())
}

/// Exits with 0 if the answer is yes and 1 if it is no; after a recording with the program's
/// status.
fn run(cli: &Cli, matches: &ArgMatches) -> Result<ExitCode, Trouble> {
    let own = matches.subcommand().map_or(matches, |(_, own)| own);
    let yes = match &cli.command {
        Some(Command::Record(args)) => return cmd::record::run(args),
        None => cmd::show::run(&cli.show, matches),
        Some(Command::Show(args)) => cmd::show::run(args, own),
        Some(Command::All(args)) => cmd::all::run(args),
        Some(Command::Metrics(args)) => cmd::metrics::run(args),
        Some(Command::Shared(args)) => cmd::shared::run(args),
        Some(Command::Audit(args)) => cmd::audit::run(args),
        Some(Command::Watch(args)) => cmd::watch::run(args),
        Some(Command::At(args)) => cmd::at::run(args),
        Some(Command::Diff(args)) => cmd::diff::run(args),
        Some(Command::Access(args)) => cmd::access::run(args),
        Some(Command::Verify(args)) => cmd::verify::run(args),
        Some(Command::Blame(args)) => cmd::blame::run(args, own),
        Some(Command::Save(args)) => cmd::save::run(args),
        Some(Command::Explain(args)) => cmd::explain::run(args),
        Some(Command::RecordGuard { recording }) => {
            cmd::record::guard(recording);
            Ok(true)
        }
        Some(Command::Completions(args)) => cmd::completions::run(args),
        Some(Command::Man { command }) => {
            let Some(page) = args::man::page(&Cli::command(), command.as_deref())? else {
                let name = command.as_deref().unwrap_or_default();
                let help = "`vmatlas man` lists the commands".to_owned();
                let help = wrong_use::with_similar_command(name)
                    .map_or(help, |line| format!("did you mean {line}?"));
                return Err(Trouble::new(format!("there is no command `{name}`; {help}")));
            };
            Ok(std::io::stdout().write_all(&page).map(|()| true)?)
        }
    }?;
    Ok(ExitCode::from(u8::from(!yes)))
}
