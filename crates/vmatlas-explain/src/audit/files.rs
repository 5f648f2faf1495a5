//! Rules about the files that code comes from: `deleted-exec`, `outdated`, `memfd-exec`,
//! `memfd-exe`, `writable-path`, `noexec-mount`, `foreign-owner`, `shared-writable-code-file`.

use super::{AtPath, AuditInput, Finding, MappedFile, Severity, Who, Writer, honest, rules, text};
use crate::label::Confidence;
use std::collections::BTreeSet;
use vmatlas_maps::{Kind, Mapping};

/// `nobody`: the owner of files whose owner has no number in the reader's user namespace.
const NOBODY: u32 = 65534;

pub(super) fn is_memfd(row: &Mapping<'_>) -> bool {
    matches!(row.kind(), Kind::Memfd { .. })
}

pub(super) fn find(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    executable(input, found);
    let mut known = BTreeSet::new();
    for (index, row) in input.rows().filter(|(_, row)| row.perms.execute()) {
        let Some(Some(number)) = input.audit.file_of_row.get(index) else { continue };
        let Some(file) = input.file(index).filter(|_| known.insert(*number)) else { continue };
        let of_file = match is_memfd(&row) {
            true => memfd(input, &row, file),
            false => at_path(file),
        };
        let found_here = [of_file, writable(input, file), noexec(file), owner(input, file)];
        found.extend(found_here.into_iter().flatten().map(|finding| finding.at(row.range)));
    }
}

/// A row that a process may write, while process `pid` executes its file.
pub fn written_and_executed(row: &Mapping<'_>, pid: u32) -> Finding {
    let name = text(row.name);
    let evidence = format!("it maps {name} shared and writable, and process {pid} executes it");
    let rule = &rules::SHARED_CODE_FILE;
    Finding::new(rule, Confidence::Certain, row.name, evidence).at(row.range)
}

fn executable(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    let exe = &input.audit.exe;
    if !exe.is_memfd {
        return;
    }
    let evidence = format!("its executable is {}", text(&exe.path));
    let finding = Finding::new(&rules::MEMFD_EXE, Confidence::Certain, "memfd", evidence);
    found.push(match &exe.same_as {
        Some(path) if exe.is_sealed => {
            let path = text(path);
            let why =
                format!("it is a sealed copy of {path}, byte for byte, as runc makes of itself");
            finding.explained(Severity::Low, why)
        }
        _ => finding,
    });
}

/// Code in a memfd that is not the program's own file, which another rule is about.
fn memfd(input: &AuditInput<'_>, row: &Mapping<'_>, file: &MappedFile) -> Option<Finding> {
    if input.audit.exe.is_memfd && input.audit.exe.path == row.name {
        return None;
    }
    let sealed = if file.code.is_sealed { ", sealed" } else { "" };
    let evidence = format!("{} is {}{sealed}", text(row.name), row.perms);
    let finding = Finding::new(&rules::MEMFD_EXEC, Confidence::Certain, "memfd", evidence);
    Some(match honest::of_code(input, row) {
        Some(cause) if file.code.is_sealed => finding.explained(Severity::Info, cause.text),
        Some(cause) => finding.explained(cause.severity, cause.text),
        None => finding,
    })
}

fn at_path(file: &MappedFile) -> Option<Finding> {
    let (path, subject) = (text(&file.path), file.path.as_slice());
    Some(match &file.now {
        AtPath::Same => return None,
        AtPath::Nothing | AtPath::Unnamed => {
            let evidence = match file.now {
                AtPath::Unnamed => format!("{path} never had a name"),
                _ => format!("{path} was removed, and nothing is at its path"),
            };
            let finding =
                Finding::new(&rules::DELETED_EXEC, Confidence::Certain, subject, evidence);
            match unpacked(subject) {
                // The program chooses the name, so that it may explain and not excuse.
                Some(who) => {
                    let why =
                        format!("{who} unpacks libraries under such a name, which proves nothing");
                    finding.explained(Severity::Medium, why)
                }
                None => finding,
            }
        }
        AtPath::Other { same_build: Some(true), .. } => {
            let evidence = format!("another file is at {path}");
            Finding::new(&rules::OUTDATED, Confidence::Certain, subject, evidence)
                .explained(Severity::Info, "it has the same build ID: a copy of the same file")
        }
        AtPath::Other { is_of_system, same_build } => {
            let build = if same_build.is_some() { " with another build ID" } else { "" };
            let evidence = format!("another file{build} is at {path}");
            let finding = Finding::new(&rules::OUTDATED, Confidence::Certain, subject, evidence);
            match is_of_system {
                true => finding.explained(
                    Severity::Medium,
                    "root has replaced it: a package was upgraded, and this process still runs the old code",
                ),
                false => finding,
            }
        }
    })
}

/// Who unpacks libraries under such a path.
fn unpacked(path: &[u8]) -> Option<&'static str> {
    const NAMES: [(&[u8], &str); 6] = [
        (b"jna", "JNA"),
        (b"libnetty", "Netty"),
        (b"libzstd-jni", "zstd-jni"),
        (b"libsnappy", "snappy-java"),
        (b"ffi", "libffi"),
        (b"otel", "OpenTelemetry"),
    ];
    let (directory, name) = path.split_at(path.iter().rposition(|&byte| byte == b'/')?);
    let name = name.strip_prefix(b"/")?;
    let is_temporary = [b"/tmp".as_slice(), b"/var/tmp", b"/dev/shm", b"/run"]
        .iter()
        .any(|temporary| directory.starts_with(temporary));
    let known = NAMES.iter().find(|(prefix, _)| name.starts_with(prefix));
    known.filter(|_| is_temporary).map(|(_, who)| *who)
}

/// Whether a user is root or one of the process.
fn is_own(input: &AuditInput<'_>, uid: u32) -> bool {
    uid == 0 || input.audit.uids.contains(&uid)
}

fn writable(input: &AuditInput<'_>, file: &MappedFile) -> Option<Finding> {
    if input.audit.uids.is_empty() {
        return None;
    }
    let is_other = |writer: &&Writer| match writer.who {
        Who::User(uid) => !is_own(input, uid),
        Who::Group(_) | Who::Everybody => true,
    };
    let writer = file.code.writers.iter().filter(is_other).max_by_key(|writer| writer.who)?;
    let who = match writer.who {
        Who::User(uid) => format!("user {uid}"),
        Who::Group(gid) => format!("group {gid}"),
        Who::Everybody => "everybody".to_owned(),
    };
    let path = text(&file.path);
    let evidence = match writer.path == file.path {
        true => format!("{who} may write {path}"),
        false => {
            format!("{who} may write {}, so replace {path}", text(&writer.path))
        }
    };
    let subject = file.path.as_slice();
    let finding = Finding::new(&rules::WRITABLE_PATH, Confidence::Certain, subject, evidence);
    Some(match writer.who {
        Who::User(uid) if file.code.uid == Some(uid) => {
            let why =
                format!("file and directory belong to user {uid}, as in a build tree or a home");
            finding.explained(Severity::Medium, why)
        }
        _ => finding,
    })
}

fn noexec(file: &MappedFile) -> Option<Finding> {
    let point = file.code.noexec.as_ref()?;
    let evidence = format!("{} is on {}, which is noexec now", text(&file.path), text(point));
    let subject = file.path.as_slice();
    Some(Finding::new(&rules::NOEXEC_MOUNT, Confidence::Certain, subject, evidence))
}

fn owner(input: &AuditInput<'_>, file: &MappedFile) -> Option<Finding> {
    let uid = file.code.uid.filter(|_| !input.audit.uids.is_empty())?;
    // A directory of the same user was found before.
    let is_known = writable(input, file).is_some();
    if is_own(input, uid) || is_known {
        return None;
    }
    let evidence = format!("{} belongs to user {uid}", text(&file.path));
    let subject = file.path.as_slice();
    let finding = Finding::new(&rules::FOREIGN_OWNER, Confidence::Certain, subject, evidence);
    Some(match input.audit.has_own_users || uid == NOBODY {
        true => finding.explained(
            Severity::Low,
            "the process has its own user namespace, or the mount maps IDs: the owner has another number there",
        ),
        false => finding,
    })
}
