//! Rules about the order of calls in a recording: `w-then-x`, `x-then-w`, `relro-undone`,
//! `exec-unlinked`.

use super::{Finding, Severity, rules, text};
use crate::label::Confidence;
use vmatlas_maps::{AddressRange, Perms};

/// A change of the permissions of a mapping, or a new executable mapping.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Protection {
    /// The addresses.
    pub range: AddressRange,
    /// The permissions before; `None` if it is a new mapping.
    pub before: Option<Perms>,
    /// The permissions after.
    pub after: Perms,
    /// The name of the row.
    pub name: Vec<u8>,
    /// Whether it is of a file.
    pub is_file: bool,
    /// Whether an earlier call had taken the right to write away.
    pub was_protected: bool,
    /// Where the earlier permissions came from, in a phrase with the call stack.
    pub origin: String,
    /// The call, in a phrase with the call stack.
    pub call: String,
    /// A maker of code among them: its name.
    pub maker: Option<&'static str>,
}

impl Protection {
    /// A change; the rest is unknown.
    pub fn new(range: AddressRange, before: Option<Perms>, after: Perms, name: Vec<u8>) -> Self {
        Protection {
            range,
            before,
            after,
            name,
            is_file: false,
            was_protected: false,
            origin: String::new(),
            call: String::new(),
            maker: None,
        }
    }
}

/// The findings in changes of permissions, in their order.
pub fn find_sequences(changes: &[Protection]) -> Vec<Finding> {
    changes.iter().filter_map(finding).collect()
}

fn finding(change: &Protection) -> Option<Finding> {
    let (after, was) = (change.after, change.before);
    let gains = |had: fn(Perms) -> bool| was.is_some_and(|was| !had(was)) && had(after);
    let writable = |perms: Perms| perms.write();
    let executable = |perms: Perms| perms.execute();
    let what =
        if change.name.is_empty() { "anonymous memory".to_owned() } else { text(&change.name) };
    let (rule, evidence) = if was.is_none() {
        let is_gone = change.is_file && change.name.ends_with(b" (deleted)") && after.execute();
        if !is_gone || change.name.starts_with(b"/memfd:") {
            return None;
        }
        (&rules::EXEC_UNLINKED, format!("{what} is mapped {after} {}", change.call))
    } else if gains(executable) && was.is_some_and(writable) && !change.is_file {
        (&rules::W_THEN_X, format!("{what} became {after} {}; {}", change.call, change.origin))
    } else if gains(writable) && was.is_some_and(executable) {
        (&rules::X_THEN_W, format!("{what} became {after} {}; {}", change.call, change.origin))
    } else if gains(writable) && change.is_file && change.was_protected {
        (&rules::RELRO_UNDONE, format!("{what} became {after} {}; {}", change.call, change.origin))
    } else {
        return None;
    };
    let subject = if change.name.is_empty() { b"anonymous".as_slice() } else { &change.name };
    let finding = Finding::new(rule, Confidence::Certain, subject, evidence).at(change.range);
    Some(match change.maker {
        Some(maker) => finding.explained(
            Severity::Info,
            format!("{maker} makes code at run time, and its functions are on the stack"),
        ),
        None => finding,
    })
}
