//! The functions that pprof leaves out, so that it shows those of the program.

use std::collections::BTreeSet;
use vmatlas::frames::{path, without_templates};
use vmatlas::words::{function, printable};
use vmatlas::{SymbolFrame, requester_frames};

/// The name of a function in a profile, without parameters and the arguments of templates. pprof
/// would leave these out of a name itself, before it compares it.
pub(super) fn profile_name(frame: &SymbolFrame) -> String {
    match frame.function.as_str() {
        "" => function(frame),
        name => printable(without_templates(path(name)).as_bytes()),
    }
}

/// The names of functions that only pass a request for memory on.
#[derive(Default)]
pub(super) struct Dropped {
    inside: BTreeSet<String>,
    /// Names of the program's functions and their callers.
    kept: BTreeSet<String>,
}

impl Dropped {
    /// Adds a call stack, innermost first.
    pub(super) fn add(&mut self, frames: &[SymbolFrame]) {
        let kept = requester_frames(frames);
        let inside = &frames[..frames.len() - kept.len()];
        let names = |frames: &[SymbolFrame]| -> Vec<String> {
            frames.iter().map(|frame| simple(&profile_name(frame)).to_owned()).collect()
        };
        self.inside.extend(names(inside));
        self.kept.extend(names(kept));
    }

    /// A regular expression for `drop_frames`: pprof removes a function with such a name and all
    /// that it calls. So a function that calls the program, as `std::function` does, is none.
    pub(super) fn expression(&self) -> String {
        let quoted = |name: &String| {
            let mut quoted = String::new();
            for letter in name.chars() {
                if r"\.+*?()|[]{}^$".contains(letter) {
                    quoted.push('\\');
                }
                quoted.push(letter);
            }
            quoted
        };
        let names = self.inside.difference(&self.kept).filter(|name| !name.is_empty());
        names.map(quoted).collect::<Vec<_>>().join("|")
    }
}

/// The part of a name that pprof compares (`simplifyFunc` in its profile/prune.go).
fn simple(name: &str) -> &str {
    const RESERVED: [&str; 2] = ["(anonymous namespace)", "operator()"];
    let name = name.strip_prefix('.').unwrap_or(name);
    let mut at = 0;
    while let Some(letter) = name[at..].chars().next() {
        if let Some(reserved) = RESERVED.iter().find(|reserved| name[at..].starts_with(**reserved))
        {
            at += reserved.len();
        } else if letter == '(' {
            break;
        } else {
            at += letter.len_utf8();
        }
    }
    &name[..at]
}

#[cfg(test)]
mod tests {
    use super::{Dropped, simple};
    use vmatlas::SymbolFrame;

    #[test]
    fn functions_that_call_the_program_are_not_dropped() {
        let stack = |names: &[&str]| -> Vec<SymbolFrame> {
            let frame = |name: &&str| SymbolFrame {
                function: (*name).to_owned(),
                ..SymbolFrame::default()
            };
            names.iter().map(frame).collect()
        };
        let mut dropped = Dropped::default();
        dropped.add(&stack(&["__mmap64", "operator new[](unsigned long)", "std::f(int)", "grow"]));
        dropped.add(&stack(&["__mmap64", "std::g()", "grow", "std::f(int)", "main"]));
        assert_eq!(dropped.expression(), r"__mmap64|operator new\[\]|std::g");
        assert_eq!(Dropped::default().expression(), "");
    }

    #[test]
    fn names_are_compared_as_pprof_compares_them() {
        for (name, compared) in [
            (".f(int)", "f"),
            ("(anonymous namespace)::A::operator()(int)", "(anonymous namespace)::A::operator()"),
            ("main::{lambda(é)}", "main::{lambda"),
        ] {
            assert_eq!(simple(name), compared);
        }
    }
}
