//! Rows and their purposes.

use super::values::printable;
use crate::row::Row;
use crate::sections::Section;
use vmatlas_explain::label::{STACK_OF_A_THREAD, STACK_OF_THE_BEGIN};
use vmatlas_maps::Kind;

/// The purpose of a row, in a line; for several parts the first ones, and the unexplained share. It
/// may hold names that the process chose: escape it for terminals.
pub fn labels(row: &Row<'_>) -> String {
    row.label_text()
}

/// The names of sections, the largest first.
pub fn sections(sections: &[Section]) -> String {
    let names = sections.iter().map(|section| printable(section.name.as_bytes()));
    names.collect::<Vec<_>>().join(" ")
}

/// A description of a mapping, as a part of a sentence.
pub fn mapping(row: &Row<'_>) -> String {
    if !row.shows_its_purpose()
        && let Some(label) = row.label()
    {
        return printable(label.text.as_bytes());
    }
    match (row.kind(), row.path()) {
        (Kind::File | Kind::Device, path) => {
            let inode = row.mapping().inode;
            let path = path.map_or_else(|| format!("inode {inode}"), |path| path.display());
            let gone = match row.is_deleted() {
                Some(true) => ", which is deleted",
                Some(false) => "",
                None if !row.mapping().name.ends_with(b" (deleted)") => "",
                None => ", which is deleted unless \" (deleted)\" is a part of its name",
            };
            format!("{} {path}{gone}", row.perms.part_of_file())
        }
        (Kind::Stack, _) => match row.label() {
            Some(label) if [STACK_OF_A_THREAD, STACK_OF_THE_BEGIN].contains(&&*label.text) => {
                format!("the {}", label.text)
            }
            _ => row.describe(),
        },
        _ => row.describe(),
    }
}
