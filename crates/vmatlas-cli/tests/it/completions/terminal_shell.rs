//! An interactive shell on a pseudo terminal.

use crate::vmatlas::{PATIENCE, command};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Keys that print the line and what precedes it, once all keys before were worked off.
const SHOW_LINE: &str = "\x18d";
const KILL_LINE: &str = "\x15";

/// A shell whose command `vmatlas` prints its words.
pub(crate) struct TerminalShell {
    child: Child,
    keys: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    name: &'static str,
}

/// The search path, with the tested command first.
pub(crate) fn path() -> OsString {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_vmatlas"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = own.parent().unwrap().to_owned();
    std::env::join_paths([own].into_iter().chain(std::env::split_paths(&path))).unwrap()
}

/// Writes the script of a shell to a file.
fn install(shell: &str, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::write(to, command(&["completions", shell]).output().unwrap().stdout).unwrap();
}

impl TerminalShell {
    /// `package` loads the script; without it, the script is sourced.
    pub(crate) fn bash(dir: &Path, package: Option<&Path>) -> TerminalShell {
        let source = match package {
            Some(package) => {
                install("bash", &dir.join(".share/bash-completion/completions/vmatlas"));
                format!("source {}", package.display())
            }
            None => "source <(vmatlas completions bash)".to_owned(),
        };
        let rc = format!(
            "{source}
vmatlas() {{ printf 'RAN'; printf '<%s>' \"$@\"; printf 'END\\n'; }}
show_line() {{ printf 'LINE<%s>END\\n' \"$READLINE_LINE\"; }}
bind -x '\"\\C-xd\": show_line'
bind 'set bell-style none'
bind 'set page-completions off'
stty cols 200 rows 50
PS1='ready> '
"
        );
        std::fs::write(dir.join(".bashrc"), rc).unwrap();
        TerminalShell::start("bash", dir, "bash --noprofile --rcfile .bashrc -i")
    }

    /// The script is a file of `fpath`.
    pub(crate) fn zsh(dir: &Path) -> TerminalShell {
        install("zsh", &dir.join(".functions/_vmatlas"));
        let rc = "fpath=($HOME/.functions $fpath)
autoload -Uz compinit
compinit -u -D
vmatlas() { printf RAN; printf '<%s>' \"$@\"; printf 'END\\n' }
show_line() { print -r -- \"LINE<$BUFFER>END\" }
zle -N show_line
bindkey -e
bindkey '^Xd' show_line
stty cols 200 rows 50
LISTMAX=1000
PS1='ready> '
";
        std::fs::write(dir.join(".zshrc"), rc).unwrap();
        TerminalShell::start("zsh", dir, "zsh -d -i")
    }

    fn start(name: &'static str, dir: &Path, line: &str) -> TerminalShell {
        let mut script = Command::new("script");
        script.args(["-q", "-c", line, "/dev/null"]).current_dir(dir);
        script.env("HOME", dir).env("ZDOTDIR", dir).env("XDG_DATA_HOME", dir.join(".share"));
        script.env("PATH", path()).env("TERM", "dumb").env("LC_ALL", "C.UTF-8");
        script.env_remove("BASH_COMPLETION_USER_DIR").env_remove("HISTFILE");
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = script.spawn().expect("needs script(1)");
        let mut stdout = child.stdout.take().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keys = child.stdin.take();
        let mut shell = TerminalShell { child, keys, output, seen: Vec::new(), name };
        shell.wait_for("ready> ");
        shell
    }

    /// Waits for a text, and returns what was printed up to its end.
    #[track_caller]
    fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.seen.windows(text.len()).position(|bytes| bytes == text.as_bytes());
            if let Some(at) = found {
                let printed: Vec<u8> = self.seen.drain(..at + text.len()).collect();
                return String::from_utf8_lossy(&printed).into_owned();
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(_) => panic!(
                    "{} does not print {text:?}: {:?}",
                    self.name,
                    String::from_utf8_lossy(&self.seen)
                ),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        let input = self.keys.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Types a line and keys; returns all that was printed, and the line then.
    #[track_caller]
    fn typed(&mut self, keys: &str) -> (String, String) {
        self.press(&format!("{KILL_LINE}{keys}{SHOW_LINE}"));
        let printed = self.wait_for(">END");
        let (before, line) = printed.rsplit_once("LINE<").expect("the line is shown");
        (before.to_owned(), line.strip_suffix(">END").unwrap().to_owned())
    }

    /// Repeats what may be late on a busy machine, as candidates are.
    #[track_caller]
    fn until<T: std::fmt::Debug>(
        &mut self,
        what: &str,
        mut attempt: impl FnMut(&mut TerminalShell) -> T,
        is_good: impl Fn(&T) -> bool,
    ) -> T {
        let end = Instant::now() + PATIENCE / 2;
        loop {
            let found = attempt(self);
            if is_good(&found) {
                return found;
            }
            assert!(Instant::now() < end, "{}: {what}: {found:?}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One press of the key makes `completed` of `line`.
    #[track_caller]
    pub(crate) fn completes(&mut self, line: &str, completed: &str) {
        self.until(line, |shell| shell.typed(&format!("{line}\t")).1, |found| found == completed);
    }

    /// The key lists words behind the line; returns what is printed.
    #[track_caller]
    pub(crate) fn lists(&mut self, line: &str, words: &[&str]) -> String {
        self.until(
            line,
            |shell| shell.typed(&format!("{line}\t\t\t")).0,
            |printed| words.iter().all(|word| printed.contains(word)),
        )
    }

    /// Completes a line and runs it: the command gets these words.
    #[track_caller]
    pub(crate) fn runs(&mut self, line: &str, words: &[&str]) {
        self.until(
            line,
            |shell| shell.typed(&format!("{line}\t")).1,
            |completed| completed != line,
        );
        self.press("\r");
        let printed = self.wait_for("END\r\n");
        let got = printed.rsplit_once("RAN").expect("it runs").1.trim_end();
        let expected: Vec<String> = words.iter().map(|word| format!("<{word}>")).collect();
        assert_eq!(got, format!("{}END", expected.concat()), "{}: {line}", self.name);
        self.wait_for("ready> ");
    }
}

impl Drop for TerminalShell {
    fn drop(&mut self) {
        // The end of the keys ends script(1), and with it the terminal and the shell.
        drop(self.keys.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
