//! Memory of programs and libraries: `.bss`, RELRO, and memory that replaced file pages.

use super::words::file_name;
use super::{BSS, Confidence, ImageFacts, Label, Labeller, copied_code};
use vmatlas_maps::Kind;
use vmatlas_maps::{AddressRange, Mapping};

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let facts = labeller.facts;
    for image in &facts.images {
        of_image(labeller, image);
    }
    copied_code::recognise(labeller);
    of_unread_files(labeller);
}

fn of_image(labeller: &mut Labeller<'_>, image: &ImageFacts) {
    let file = file_name(&image.name);
    if let Some(relro) = image.relro {
        let label = Label::new(
            "RELRO",
            Confidence::Certain,
            format!("data of {file} that is read-only since it was relocated (RELRO)"),
            "its program header PT_GNU_RELRO has these addresses",
        );
        let is_relro = |row: &Mapping<'_>| row.name == image.name && !row.perms.write();
        let page = labeller.page_size();
        let pages = AddressRange::new(relro.start - relro.start % page, relro.end);
        label_rows(labeller, pages, &label, is_relro);
    }
    for (segment, file_size, writable) in &image.segments {
        let file_end = segment.start.saturating_add(*file_size);
        let page = labeller.page_size();
        let end = segment.end.checked_next_multiple_of(page).unwrap_or(u64::MAX);
        let bss = file_end.checked_next_multiple_of(page).unwrap_or(u64::MAX);
        if *writable && bss < end {
            let label = Label::new(
                BSS,
                Confidence::Certain,
                format!(".bss of {file}: variables that begin as zero"),
                format!(
                    "the segment at {:#x} goes on in memory behind its bytes in the file",
                    segment.start
                ),
            );
            label_rows(labeller, AddressRange::new(bss, end), &label, is_anonymous);
        }
        // Huge pages for code replace file pages, and so do patches.
        let from_file = AddressRange::new(segment.start - segment.start % page, bss.min(end));
        let label = Label::new(
            "replaced file pages",
            Confidence::Likely,
            format!("memory in the place of pages of {file}"),
            "its segment has these addresses, and the file is not mapped there any more",
        );
        let because = label.because.clone();
        for row in labeller.rows_in(from_file) {
            if is_anonymous(&row) && row.perms.execute() && !row.perms.write() {
                let part = AddressRange::new(
                    row.range.start.max(from_file.start),
                    row.range.end.min(from_file.end),
                );
                let likely = Confidence::Likely;
                let label = copied_code::label(labeller, part, &image.name, likely, &because);
                labeller.label(part, &label);
            }
        }
        label_rows(labeller, from_file, &label, is_anonymous);
    }
}

/// Labels the parts in a range of rows of one kind.
fn label_rows(
    labeller: &mut Labeller<'_>,
    range: AddressRange,
    label: &Label,
    wanted: impl Fn(&Mapping<'_>) -> bool,
) {
    for row in labeller.rows_in(range).iter().filter(|row| wanted(row)) {
        let start = row.range.start.max(range.start);
        labeller.label(AddressRange::new(start, row.range.end.min(range.end)), label);
    }
}

fn is_anonymous(row: &Mapping<'_>) -> bool {
    !row.perms.shared()
        && matches!(row.kind(), Kind::Anonymous | Kind::Heap | Kind::NamedAnonymous { .. })
}

/// Labels the `.bss` of files that could not be read, usually after the last writable row.
fn of_unread_files(labeller: &mut Labeller<'_>) {
    /// Usual upper limit of a library's `.bss`; other memory may have merged with it.
    const LARGEST: u64 = 1 << 20;
    /// That of a program, which has no neighbours.
    const LARGEST_OF_PROGRAM: u64 = 1 << 30;
    let rows = labeller.maps.iter().zip(labeller.maps.iter().skip(1));
    let mut found = Vec::new();
    // The name of the last file with code, as programs and libraries have it.
    let mut code: &[u8] = b"";
    let mut first: Option<&[u8]> = None;
    for (row, next) in rows {
        if row.kind() != Kind::File {
            continue;
        }
        let is_program = *first.get_or_insert(row.name) == row.name;
        if row.perms.execute() && !row.perms.write() {
            code = row.name;
        }
        let is_data = row.perms.read() && row.perms.write() && !row.perms.shared();
        if is_data
            && row.name == code
            && !row.name.is_empty()
            && next.range.start == row.range.end
            && next.kind() == Kind::Anonymous
            && next.perms == row.perms
            && next.range.size() <= if is_program { LARGEST_OF_PROGRAM } else { LARGEST }
            && !labeller.facts.images.iter().any(|image| image.name == row.name)
        {
            found.push((next.range, file_name(row.name)));
        }
    }
    for (range, file) in found {
        let label = Label::new(
            BSS,
            Confidence::Guess,
            format!(".bss of {file}: variables that begin as zero"),
            "it follows the file's last row that can be written; the file itself was not read",
        );
        labeller.label(range, &label);
    }
}
