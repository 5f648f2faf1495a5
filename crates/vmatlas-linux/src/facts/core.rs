//! The facts of a process that a core dump is of.

use super::images;
use crate::core_file::file_with_build_id;
use crate::deadline::{Results, all_within};
use std::time::Duration;
use vmatlas_explain::coredump::{CoreDump, ReadAt};
use vmatlas_explain::label::Facts;
use vmatlas_maps::uapi::auxvec::AT_ENTRY;

/// How long the file systems may take to give all files.
const LIMIT: Duration = Duration::from_secs(3);
/// So many files are opened: a thread for each.
const MOST: usize = 1024;

/// What labels are made from: what the core tells, with the sections and symbols of those files of
/// today that have the build ids of the core. `deep` goes through whole tables of symbols.
pub fn gather_core_facts<S: ReadAt>(core: &CoreDump<S>, deep: bool) -> Facts {
    let mut facts = core.facts();
    let entry = facts.auxv.get(AT_ENTRY);
    let jobs = core.images().into_iter().take(MOST).filter_map(|image| {
        let row = core.maps().find(image.start).mapping.and_then(|index| core.maps().get(index))?;
        let path = row.file_name()?.path.into_owned();
        let id = image.build_id?;
        let (name, bias) = (image.facts.name, image.facts.bias);
        let holds = |entry| image.facts.segments.iter().any(|(range, ..)| range.contains(entry));
        let tables = images::tables(deep, entry.is_some_and(holds));
        Some(move |results: &Results<_>| {
            if let Ok(elf) = file_with_build_id(&path, &id) {
                results.add(images::facts(&name, &elf, bias, tables));
            }
        })
    });
    for found in all_within(LIMIT, jobs) {
        let known = facts.images.iter_mut();
        let same = known.filter(|image| image.name == found.name && image.bias == found.bias);
        for image in same {
            image.sections.clone_from(&found.sections);
            image.symbols.clone_from(&found.symbols);
        }
    }
    facts
}
