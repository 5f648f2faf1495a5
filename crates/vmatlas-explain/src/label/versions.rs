//! The versions of runtimes and allocators on which the recognisers were checked.

use super::{Confidence, Labeller};

/// A runtime or an allocator.
struct Checked {
    /// Its name, as in `ImageFacts::versions`.
    name: &'static str,
    /// The groups of its labels, or their beginnings.
    groups: &'static [&'static str],
    /// The first and the last version of each range, with as many numbers as matter.
    ranges: &'static [(&'static [u32], &'static [u32])],
}

const CHECKED: &[Checked] = &[
    Checked { name: "CPython", groups: &["CPython "], ranges: &[(&[3, 7], &[3, 13])] },
    Checked { name: "Go", groups: &["Go "], ranges: &[(&[1, 19], &[1, 27])] },
    Checked { name: "HotSpot", groups: &["JVM "], ranges: &[(&[17], &[17]), (&[25], &[25])] },
    Checked { name: "Ruby", groups: &["Ruby "], ranges: &[(&[3, 1], &[3, 1])] },
    Checked {
        name: "glibc",
        groups: &["glibc ", "large malloc block"],
        ranges: &[(&[2, 10], &[2, 42])],
    },
    Checked {
        name: "mimalloc",
        groups: &["mimalloc"],
        ranges: &[(&[1, 0], &[2, 1]), (&[3, 0], &[3, 2])],
    },
];

/// Lowers the confidence of labels that depend on a version that was never checked.
pub(super) fn lower(labeller: &mut Labeller<'_>) {
    let images = &labeller.facts.images;
    for checked in CHECKED {
        let versions = images.iter().filter_map(|image| image.version(checked.name));
        let Some(version) = versions.into_iter().find(|version| !is_checked(checked, version))
        else {
            continue;
        };
        for part in labeller.parts.values_mut() {
            let label = &mut part.label;
            if !checked.groups.iter().any(|group| label.group.starts_with(group)) {
                continue;
            }
            label.confidence = match label.confidence {
                Confidence::Certain => Confidence::Likely,
                Confidence::Likely | Confidence::Guess => Confidence::Guess,
            };
            let name = checked.name;
            label.because += &format!("; but vmatlas was never checked on {name} {version}");
        }
    }
}

fn is_checked(checked: &Checked, version: &str) -> bool {
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    let start = |length: usize| numbers.get(..length.min(numbers.len())).unwrap_or_default();
    let mut ranges = checked.ranges.iter();
    ranges.any(|(first, last)| start(first.len()) >= *first && start(last.len()) <= *last)
}
