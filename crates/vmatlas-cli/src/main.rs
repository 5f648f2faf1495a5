//! The `vmatlas` command: arguments, a target read, an answer printed.

mod args;
mod cmd;
mod output;
mod target;
mod trouble;

use args::{Cli, Command};
use clap::{CommandFactory as _, Parser as _};
use std::io::Write as _;
use std::process::ExitCode;
use trouble::Trouble;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run(&cli) {
        Ok(true) | Err(Trouble::ClosedPipe) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(trouble) => {
            output::note(&trouble.to_string());
            ExitCode::from(2)
        }
    }
}

/// Help and version as they are, and what is wrong with the arguments in one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let sentences = text.split("\n\n").next().unwrap_or_default().lines().map(str::trim);
    let line = sentences.collect::<Vec<_>>().join(" ");
    output::note(&format!("{}; see vmatlas --help", line.trim_start_matches("error: ")));
    ExitCode::from(2)
}

/// Whether the answer is yes.
fn run(cli: &Cli) -> Result<bool, Trouble> {
    match &cli.command {
        None => cmd::show::run(&cli.show),
        Some(Command::Show(args)) => cmd::show::run(args),
        Some(Command::At(args)) => cmd::at::run(args),
        Some(Command::Diff(args)) => cmd::diff::run(args),
        Some(Command::Access(args)) => cmd::access::run(args),
        Some(Command::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "vmatlas", &mut text);
            Ok(std::io::stdout().write_all(&text).map(|()| true)?)
        }
        Some(Command::Man) => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text)?;
            Ok(std::io::stdout().write_all(&text).map(|()| true)?)
        }
    }
}
