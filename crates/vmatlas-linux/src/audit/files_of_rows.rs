//! The files that the code of a process comes from.

use super::writers::Groups;
use super::{AuditSources, FileKey, code_file, is_code, writers};
use crate::files::{FileTruth, FileTruths, Files, Now};
use crate::process::Process;
use rustix::fs::{AtFlags, statat};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use vmatlas_explain::audit::{AtPath, AuditFacts, CodeFile, MappedFile};
use vmatlas_maps::{Kind, Mapping, Maps};

/// Time limit for the files of a process.
const LIMIT: Duration = Duration::from_secs(3);
/// Most files of a process that are examined.
const MAX_FILES: usize = 4096;
const DELETED: &[u8] = b" (deleted)";

/// A file to examine in another thread.
struct Question {
    number: usize,
    row: Mapping<'static>,
    name: Vec<u8>,
    truth: Option<FileTruth>,
    /// Where the file can be reached; `None` if its name was removed.
    path: Option<Vec<u8>>,
    /// Where another file is.
    replaced: Option<Vec<u8>>,
}

/// What was found.
struct Answer {
    number: usize,
    code: Option<CodeFile>,
    other: Option<AtPath>,
}

pub(super) fn read(sources: AuditSources<'_>, process: &Process, facts: &mut AuditFacts) {
    let AuditSources { maps, shared, .. } = sources;
    facts.file_of_row = vec![None; maps.len()];
    // A file that was removed or replaced has this in its name, whatever else it may be called.
    let is_gone = |row: &Mapping<'_>| row.name.ends_with(DELETED) && row.kind() == Kind::File;
    let truths = match maps.iter().any(|row| is_code(&row) && is_gone(&row)) {
        true => Some((sources.truths)()),
        false => None,
    };
    let namespace = statat(process.dir(), "ns/mnt", AtFlags::empty()).ok().map(|stat| stat.st_ino);
    let mut numbers: HashMap<FileKey, u32> = HashMap::new();
    let mut rows: Vec<(FileKey, usize)> = Vec::new();
    for (index, row) in maps.iter().enumerate().filter(|(_, row)| is_code(row)) {
        let (device, inode) = (row.device, row.inode);
        let key = FileKey { name: row.name.to_vec(), device, inode, namespace };
        let number = *numbers.entry(key.clone()).or_insert_with(|| {
            rows.push((key, index));
            rows.len() as u32 - 1
        });
        if (number as usize) < MAX_FILES {
            facts.file_of_row[index] = Some(number);
        }
    }
    rows.truncate(MAX_FILES);
    let known: Vec<Option<Arc<CodeFile>>> = {
        let files = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().map(|(key, _)| files.get(key).cloned()).collect()
    };
    let questions = rows.iter().enumerate().filter_map(|(number, (_, index))| {
        let truth = truths.and_then(|truths: &FileTruths| truths.get(*index));
        let question = question(maps, *index, number, truth)?;
        (known[number].is_none() || question.replaced.is_some()).then_some(question)
    });
    let questions: Vec<Question> = questions.collect();
    let mut answers: Vec<Option<Answer>> = Vec::new();
    answers.resize_with(rows.len(), || None);
    if !questions.is_empty()
        && let Some(files) = (sources.files)()
    {
        for answer in ask(files, questions, shared.groups.get_or_init(Groups::read)) {
            let number = answer.number;
            answers[number] = Some(answer);
        }
    }
    let mut files = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
    for (number, (key, index)) in rows.into_iter().enumerate() {
        let (code, other) = match answers[number].take() {
            Some(answer) => (answer.code, answer.other),
            None => (None, None),
        };
        let code = match (known[number].clone(), code) {
            (Some(known), _) => known,
            (None, Some(code)) => {
                let mut code = code;
                code.noexec = noexec(sources, maps, index);
                let code = Arc::new(code);
                files.insert(key.clone(), code.clone());
                code
            }
            (None, None) => Arc::default(),
        };
        let truth = truths.and_then(|truths| truths.get(index));
        let path = truth.map_or(key.name.as_slice(), |truth| truth.path(&key.name)).to_vec();
        let now = match truth.map(|truth| truth.now) {
            Some(Now::Nothing) => AtPath::Nothing,
            Some(Now::Unnamed) => AtPath::Unnamed,
            Some(Now::Replaced { .. }) => {
                other.unwrap_or(AtPath::Other { same_build: None, is_of_system: false })
            }
            _ => AtPath::Same,
        };
        facts.files.push(MappedFile::new(path, now, code));
    }
}

/// The mount of a row's file, if it forbids to execute it.
fn noexec(sources: AuditSources<'_>, maps: &Maps, index: usize) -> Option<Vec<u8>> {
    let row = maps.get(index).filter(|row| row.kind() == Kind::File)?;
    let mounts = (sources.files)()?.mounts();
    let mount = mounts.holding(row.device, row.name)?;
    (mount.device == row.device && mount.has("noexec")).then(|| mount.point.clone())
}

fn question(
    maps: &Maps,
    index: usize,
    number: usize,
    truth: Option<&FileTruth>,
) -> Option<Question> {
    let row = maps.get(index)?;
    let name = row.name.to_vec();
    let is_file = row.kind() == Kind::File;
    let path = match truth {
        Some(truth) if truth.now == Now::Same => Some(truth.path(&name).to_vec()),
        Some(_) => None,
        None => is_file.then(|| name.clone()),
    };
    let is_replaced = |truth: &&FileTruth| matches!(truth.now, Now::Replaced { .. });
    let replaced = truth.filter(is_replaced).map(|truth| truth.path(&name).to_vec());
    let row = Mapping { name: b"", ..row };
    Some(Question { number, row: plain(&row), name, truth: truth.cloned(), path, replaced })
}

/// A row without its name, which lives in the rows.
fn plain(row: &Mapping<'_>) -> Mapping<'static> {
    Mapping {
        range: row.range,
        perms: row.perms,
        offset: row.offset,
        device: row.device,
        inode: row.inode,
        name: b"",
    }
}

fn ask(files: &Files, questions: Vec<Question>, groups: &Groups) -> Vec<Answer> {
    let groups = groups.clone();
    files.within_each(
        LIMIT,
        questions,
        |question| (&question.name, question.row.device),
        move |way, question| {
            let row = Mapping { name: &question.name, ..question.row };
            let (truth, path) = (question.truth.as_ref(), question.path.as_deref());
            let code = code_file::read(way, &row, truth, path, &groups);
            let other = question.replaced.as_ref().map(|path| {
                let along = way.along(path);
                let is_roots = along.last().is_some_and(|(_, stat)| stat.uid == 0);
                let is_of_system = is_roots && writers::of(path, &along, &groups).is_empty();
                let file = way.files().open_path(Path::new(std::ffi::OsStr::from_bytes(path)));
                let build_id =
                    file.ok().and_then(code_file::elf_facts).and_then(|elf| elf.build_id);
                let its = code.as_ref().and_then(|code| code.elf.as_ref()?.build_id.as_ref());
                let same_build = its.zip(build_id.as_ref()).map(|(its, other)| its == other);
                AtPath::Other { same_build, is_of_system }
            });
            Answer { number: question.number, code, other }
        },
    )
}
