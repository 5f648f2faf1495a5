//! Gathers the facts of a process from its core dump.

use super::images;
use crate::core_file::file_with_build_id;
use crate::deadline::{Results, all_within};
use std::time::Duration;
use vmatlas_explain::coredump::{CoreDump, ReadAt};
use vmatlas_explain::label::Facts;
use vmatlas_maps::uapi::auxvec::AT_ENTRY;
use vmatlas_object::Budget;

/// Time limit for opening all files.
const LIMIT: Duration = Duration::from_secs(3);
/// Maximum number of files opened, each in its own thread.
const MAX: usize = 1024;

/// The facts from the core, with the sections and symbols of current files that have the core's
/// build ids. `deep` scans whole symbol tables. `budget_of` returns the budget for the file of the
/// image at an address.
pub fn gather_core_facts<S: ReadAt>(
    core: &CoreDump<S>,
    deep: bool,
    budget_of: impl Fn(u64) -> Budget,
) -> Facts {
    let mut facts = core.facts();
    let entry = facts.auxv.get(AT_ENTRY);
    let jobs = core.images().into_iter().take(MAX).filter_map(|image| {
        let row = core.maps().find(image.start).mapping.and_then(|index| core.maps().get(index))?;
        let path = row.file_name()?.path.into_owned();
        let id = image.build_id?;
        let (name, bias) = (image.facts.name, image.facts.bias);
        let holds = |entry| image.facts.segments.iter().any(|(range, ..)| range.contains(entry));
        let tables = images::tables(deep, entry.is_some_and(holds));
        let budget = budget_of(image.start);
        Some(move |results: &Results<_>| {
            if let Ok(elf) = file_with_build_id(&path, &id, &budget) {
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
            image.versions.clone_from(&found.versions);
            image.go_calls_mmap = found.go_calls_mmap;
            image.moves_break = found.moves_break;
        }
    }
    facts
}
