//! Sums over the rows of a target, by a key of the rows, and of unexplained memory.

use crate::atlas::Atlas;
use crate::image_rows::ImageRows;
use crate::images::Image;
use crate::row::Row;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use vmatlas_explain::label::Confidence;
use vmatlas_maps::{Kind, Sizes, Total};

/// The key by which memory is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum By {
    /// The kind of mapping.
    Kind,
    /// The file; memory without a file by its kind.
    File,
    /// The program or library with all its segments and its `.bss`; other memory by its kind.
    Image,
    /// The purpose: the kind if the name explains it, else the group of the label, or `unexplained`.
    Label,
    /// The build ID of the program or library, and its name; its path if it has no build ID; other
    /// memory by its kind.
    BuildId,
    /// The permissions.
    Perms,
}

/// The key of memory that neither a name nor a label explains, if the key is the purpose.
const UNEXPLAINED: &[u8] = b"unexplained";

impl By {
    /// The name of the key, in one word.
    pub fn word(self) -> &'static str {
        match self {
            By::Kind => "kind",
            By::File => "file",
            By::Image => "image",
            By::Label => "label",
            By::BuildId => "build-id",
            By::Perms => "perms",
        }
    }
}

/// Sums over the rows of an [`Atlas`] by a key, and of unexplained memory. A row with several
/// purposes counts in each with the size of its parts, and with resident memory in proportion.
pub struct MapTotals {
    /// All rows.
    pub all: Total,
    /// The key of the groups.
    pub by: By,
    /// The groups: those of most resident memory first, or of the largest size if no sizes of smaps
    /// were read.
    pub groups: Vec<GroupTotals>,
    /// Memory that neither a name nor a label explains.
    pub unexplained: Total,
    /// Rows that can be written and executed.
    pub writable_code: Total,
}

/// The sums of a group.
#[derive(Clone, Debug, Default)]
pub struct GroupTotals {
    /// All rows of the group.
    pub total: Total,
    /// If the key is the kind: the sums by label group, for rows whose names do not explain their
    /// purpose, in the order of the groups. The number of rows is that of rows with a part of the
    /// group.
    pub labels: Vec<GroupTotals>,
    /// The parts of rows that neither a name nor a label explains.
    pub unexplained: Total,
    /// The bytes whose labels are likely.
    pub likely: u64,
    /// The bytes whose labels are guesses.
    pub guessed: u64,
    /// The number of programs and libraries that its rows belong to, each with all its segments.
    pub images: usize,
}

impl GroupTotals {
    /// The lowest confidence of the labels that put memory into this group, and whether all of it
    /// has that confidence; `None` if all of it is certain.
    pub fn confidence(&self) -> Option<(Confidence, bool)> {
        match (self.guessed, self.likely) {
            (0, 0) => None,
            (0, likely) => Some((Confidence::Likely, likely >= self.total.size)),
            (guessed, _) => Some((Confidence::Guess, guessed >= self.total.size)),
        }
    }

    fn add(&mut self, row: &Part<'_>) {
        add(&mut self.total, row);
        match row.confidence {
            Some(Confidence::Likely) => self.likely = self.likely.saturating_add(row.size),
            Some(Confidence::Guess) => self.guessed = self.guessed.saturating_add(row.size),
            _ => {}
        }
    }
}

/// A row, or a part of one with a purpose of its own, as a summand.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// The group of its label; `None` if its name explains it, or if nothing does.
    group: Option<&'a str>,
    confidence: Option<Confidence>,
    /// The number of rows: 0 for a rollup.
    rows: u64,
    size: u64,
    sizes: Sizes,
}

fn add(total: &mut Total, part: &Part<'_>) {
    total.mappings += part.rows;
    total.size = total.size.saturating_add(part.size);
    total.sizes = total.sizes.plus(part.sizes);
}

/// The bytes of each label group of a row, with the lowest confidence in it, and the bytes without
/// a purpose.
pub(crate) struct Shares<'a> {
    pub(crate) groups: Vec<(&'a str, u64, Confidence)>,
    pub(crate) unexplained: u64,
}

impl<'a> Shares<'a> {
    /// The shares of a row; `None` if the name explains the row.
    pub(crate) fn of(row: &Row<'a>) -> Option<Shares<'a>> {
        if row.mapping.shows_its_purpose() {
            return None;
        }
        let mut unexplained = row.range.size();
        let mut groups: Vec<(&str, u64, Confidence)> = Vec::new();
        for part in row.labels() {
            let size = part.range.intersect(&row.range).map_or(0, |common| common.size());
            unexplained = unexplained.saturating_sub(size);
            let confidence = part.label.confidence;
            match groups.iter_mut().find(|(group, ..)| *group == part.label.group) {
                Some((_, sum, lowest)) => {
                    *sum += size;
                    *lowest = confidence.min(*lowest);
                }
                None => groups.push((&part.label.group, size, confidence)),
            }
        }
        Some(Shares { groups, unexplained })
    }
}

/// The groups by key.
#[derive(Default)]
struct Groups<'a> {
    groups: Vec<GroupTotals>,
    /// The group of the last row, which is often that of the next.
    last: usize,
    by_key: HashMap<Cow<'a, [u8]>, usize>,
}

impl<'a> Groups<'a> {
    fn of(&mut self, key: Cow<'a, [u8]>) -> &mut GroupTotals {
        if self.groups.get(self.last).is_some_and(|last| last.total.key == *key) {
            return &mut self.groups[self.last];
        }
        let at = match self.by_key.get(&key) {
            Some(&at) => at,
            None => {
                let mut group = GroupTotals::default();
                group.total.key = key.to_vec();
                self.groups.push(group);
                self.by_key.insert(key, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        self.last = at;
        &mut self.groups[at]
    }

    fn sorted(self) -> Vec<GroupTotals> {
        let mut groups = self.groups;
        groups.sort_by(|a, b| largest_first(&a.total, &b.total));
        groups
    }
}

/// The order of totals: the most resident memory first, then the largest size.
fn largest_first(a: &Total, b: &Total) -> std::cmp::Ordering {
    (b.sizes.rss, b.size).cmp(&(a.sizes.rss, a.size)).then_with(|| a.key.cmp(&b.key))
}

impl MapTotals {
    /// Sums up the rows whose index `taken` accepts. Rows of several processes have no sums.
    pub fn of(atlas: &Atlas, by: By, taken: impl Fn(usize) -> bool) -> MapTotals {
        let keys = Keys::of_rows(atlas, by);
        let image = |index| keys.images.as_ref()?.first_row_of(index);
        let mut all = Total::default();
        let (mut unexplained, mut writable_code) = (Total::default(), Total::default());
        let mut groups = Groups::default();
        let mut labels: HashMap<&str, Groups<'_>> = HashMap::new();
        let mut seen = HashMap::new();
        let is_one = atlas.maps().processes() == 1;
        // A rollup beside other rows is the sum of them.
        let has_mappings = atlas.maps().iter().any(|row| !row.is_rollup());
        let counts = |row: &Row<'_>| is_one && !(has_mappings && row.is_rollup());
        for row in atlas.rows().filter(|row| counts(row) && taken(row.index())) {
            let kind = row.kind().word();
            // smaps_rollup has one row for the whole process, whose range includes the gaps.
            let (rows, size) = if row.is_rollup() { (0, 0) } else { (1, row.range.size()) };
            let whole = Part { group: None, confidence: None, rows, size, sizes: row.sizes() };
            add(&mut all, &whole);
            if row.perms.write() && row.perms.execute() {
                add(&mut writable_code, &whole);
            }
            let shares = Shares::of(&row).unwrap_or(Shares { groups: Vec::new(), unexplained: 0 });
            // The parts add up to the row: what rounding leaves over is of the last one.
            let part = |before: u64, size: u64| {
                let until = |size| whole.sizes.share(size, whole.size);
                Part { size, sizes: until(before + size).minus(until(before)), ..whole }
            };
            let parts = || {
                let mut before = 0;
                shares.groups.iter().map(move |&(group, size, confidence)| {
                    let (group, confidence) = (Some(group), Some(confidence));
                    before += size;
                    Part { group, confidence, ..part(before - size, size) }
                })
            };
            let labelled = shares.groups.iter().map(|(_, size, _)| size).sum();
            let rest = match labelled {
                0 => Part { size: shares.unexplained, ..whole },
                labelled => part(labelled, shares.unexplained),
            };
            let key = keys.of(&row);
            if by == By::Label {
                parts().for_each(|part| {
                    groups.of(Cow::Borrowed(part.group.unwrap_or(kind).as_bytes())).add(&part);
                });
            }
            let explains_itself = row.mapping.shows_its_purpose();
            if by != By::Label || explains_itself || rest.size > 0 {
                let group = groups.of(key);
                group.add(if by == By::Label && !explains_itself { &rest } else { &whole });
                if rest.size > 0 {
                    add(&mut group.unexplained, &rest);
                }
                if by == By::Kind {
                    let image = image(row.index()).filter(|_| row.has_file());
                    let is_new = image.is_some_and(|image| seen.insert(image, ()).is_none());
                    group.images += usize::from(is_new);
                }
            }
            if by == By::Kind && !shares.groups.is_empty() {
                let of_kind = labels.entry(kind).or_default();
                parts().for_each(|part| {
                    of_kind.of(Cow::Borrowed(part.group.unwrap_or(kind).as_bytes())).add(&part);
                });
            }
            if rest.size > 0 {
                add(&mut unexplained, &rest);
            }
        }
        let mut groups = groups.sorted();
        for group in &mut groups {
            let kind = std::str::from_utf8(&group.total.key).unwrap_or_default();
            group.labels = labels.remove(kind).map(Groups::sorted).unwrap_or_default();
        }
        MapTotals { all, by, groups, unexplained, writable_code }
    }
}

/// The keys of rows.
struct Keys<'a> {
    atlas: &'a Atlas,
    by: By,
    images: Option<ImageRows>,
    build_ids: HashMap<usize, Vec<u8>>,
    /// The paths of several files.
    shared: HashSet<Cow<'a, [u8]>>,
}

impl<'a> Keys<'a> {
    fn of_rows(atlas: &'a Atlas, by: By) -> Keys<'a> {
        let has_images = matches!(by, By::Image | By::Kind | By::BuildId);
        let images = has_images.then(|| ImageRows::of(atlas));
        let build_ids = if by == By::BuildId { build_ids(atlas) } else { HashMap::new() };
        let shared = match by {
            By::File | By::Image | By::BuildId => shared_paths(atlas),
            _ => HashSet::new(),
        };
        Keys { atlas, by, images, build_ids, shared }
    }

    /// The key of a row; with labels as keys that of what they do not explain.
    fn of(&self, row: &Row<'a>) -> Cow<'a, [u8]> {
        let kind = row.kind().word();
        let image = || {
            let first = self.images.as_ref()?.first_row_of(row.index())?;
            self.atlas.row(first)
        };
        match self.by {
            By::Label if !row.mapping.shows_its_purpose() => Cow::Borrowed(UNEXPLAINED),
            By::Kind | By::Label => Cow::Borrowed(kind.as_bytes()),
            By::File => path_or(row, &self.shared, kind),
            By::Image | By::BuildId => match image() {
                Some(first) => match self.build_ids.get(&first.index()) {
                    Some(key) => Cow::Owned(key.clone()),
                    None => path_or(&first, &self.shared, kind),
                },
                None => Cow::Borrowed(kind.as_bytes()),
            },
            By::Perms => Cow::Owned(row.perms.0.to_vec()),
        }
    }
}

/// The parts of a row with keys of their own, in bytes; they add up to the row.
pub(crate) struct RowParts(Vec<(Box<[u8]>, u64)>);

impl RowParts {
    /// The parts of each row of an atlas.
    pub(crate) fn all(atlas: &Atlas, by: By) -> Vec<RowParts> {
        let keys = Keys::of_rows(atlas, by);
        let parts = |row: Row<'_>| {
            let whole = (Box::from(&*keys.of(&row)), row.range.size());
            let Some(shares) = Shares::of(&row).filter(|_| by == By::Label) else {
                return RowParts(vec![whole]);
            };
            let of_groups =
                shares.groups.iter().map(|(group, size, _)| (group.as_bytes().into(), *size));
            let rest = (shares.unexplained > 0).then_some((whole.0, shares.unexplained));
            RowParts(of_groups.chain(rest).collect())
        };
        atlas.rows().map(parts).collect()
    }

    /// The parts in the order of their addresses, or of one label after the other.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], u64)> {
        self.0.iter().map(|(key, size)| (&**key, *size))
    }

    /// The one part of a row of which nothing is known.
    pub(crate) fn unexplained(size: u64) -> RowParts {
        RowParts(vec![(UNEXPLAINED.into(), size)])
    }
}

/// The build ID and the name of each image that has one, by its first row.
fn build_ids(atlas: &Atlas) -> HashMap<usize, Vec<u8>> {
    let key = |image: Image<'_>| {
        let name = image.name();
        let first = image.rows().next()?.index();
        Some((first, format!("{} {name}", image.build_id()?).into_bytes()))
    };
    atlas.images().filter_map(key).collect()
}

/// The path of a row's file, with what tells it apart from another file of that path; or the kind of
/// a row without one.
fn path_or<'a>(
    row: &Row<'a>,
    shared: &HashSet<Cow<'a, [u8]>>,
    kind: &'static str,
) -> Cow<'a, [u8]> {
    let Some(path) = row.path() else { return Cow::Borrowed(kind.as_bytes()) };
    let path = path.into_bytes();
    if row.kind() != Kind::File || !shared.contains(&path) {
        return path;
    }
    let deleted = if row.is_deleted() == Some(true) { "deleted, " } else { "" };
    let (device, inode) = (row.mapping.device, row.mapping.inode);
    let mut key = path.into_owned();
    key.extend_from_slice(format!(" ({deleted}device {device}, inode {inode})").as_bytes());
    Cow::Owned(key)
}

/// The paths of several files, as when a program was replaced while it runs.
fn shared_paths(atlas: &Atlas) -> HashSet<Cow<'_, [u8]>> {
    let mut files = HashMap::new();
    let mut shared = HashSet::new();
    for row in atlas.rows().filter(|row| row.kind() == Kind::File) {
        let Some(path) = row.path() else { continue };
        let file = (row.mapping.device, row.mapping.inode);
        let path = path.into_bytes();
        if *files.entry(path.clone()).or_insert(file) != file {
            shared.insert(path);
        }
    }
    shared
}
