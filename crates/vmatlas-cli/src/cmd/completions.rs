//! `vmatlas completions SHELL`: the script of a shell, and the candidates for it.

use crate::args::{Cli, CompletionsArgs};
use crate::complete::shells;
use crate::trouble::Trouble;
use clap::CommandFactory as _;
use std::io::Write as _;
use std::sync::mpsc::channel;
use std::time::Duration;

/// The longest time to wait for what a file system or a process may hold up.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &CompletionsArgs) -> Result<bool, Trouble> {
    let mut text = Vec::new();
    if !args.words.is_empty() {
        text = candidates(args).into_bytes();
    } else if let Some(script) = shells::script(args.shell) {
        text.extend_from_slice(script.as_bytes());
    } else {
        clap_complete::generate(args.shell, &mut Cli::command(), "vmatlas", &mut text);
    }
    Ok(std::io::stdout().write_all(&text).map(|()| true)?)
}

/// The lines for a script; none if they take too long, as with a file that does not answer.
fn candidates(args: &CompletionsArgs) -> String {
    let words: Vec<String> =
        args.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let shell = args.shell;
    let (sender, receiver) = channel();
    let work = move || {
        let mut program = Cli::command();
        program.build();
        let _ = sender.send(shells::answer(shell, &program, &words));
    };
    // The thread ends with the process.
    let _ = std::thread::Builder::new().spawn(work);
    receiver.recv_timeout(PATIENCE).unwrap_or_default()
}
