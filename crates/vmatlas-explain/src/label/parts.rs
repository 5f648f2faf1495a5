//! Labels of rows with several parts.

use super::{Confidence, Label, Labelled};
use std::collections::HashMap;
use vmatlas_maps::AddressRange;
use vmatlas_maps::size::short;

/// The most texts of parts in a line.
const MAX_TEXTS: usize = 3;

/// The first label of the group that covers most bytes of a range; `None` if more bytes have no
/// label.
pub(super) fn most(range: AddressRange, parts: &[Labelled]) -> Option<&Label> {
    if let [only] = parts {
        return Some(&only.label).filter(|_| only.range.size() >= range.size() / 2);
    }
    let mut groups: Vec<(&Label, u64)> = Vec::new();
    let mut rest = range.size();
    for Labelled { range: part, label } in parts {
        let size = part.intersect(&range).map_or(0, |common| common.size());
        rest = rest.saturating_sub(size);
        match groups.iter_mut().find(|(other, _)| other.group == label.group) {
            Some((_, sum)) => *sum += size,
            None => groups.push((label, size)),
        }
    }
    let most = groups.into_iter().rev().max_by_key(|(_, sum)| *sum);
    most.filter(|(_, sum)| *sum >= rest).map(|(label, _)| label)
}

/// Whether a part covers a range.
pub(super) fn covers(part: &Labelled, range: AddressRange) -> bool {
    part.range.start <= range.start && range.end <= part.range.end
}

/// The label of a row that is not covered by one part.
pub(super) fn sum(range: AddressRange, parts: &[Labelled]) -> Option<Label> {
    if parts.is_empty() || matches!(parts, [only] if covers(only, range)) {
        return None;
    }
    let most = most(range, parts)?;
    let others = of_group(most, parts).count().saturating_sub(1);
    let is_same = of_group(most, parts).all(|part| part.label.because == most.because);
    let because = match (others, is_same) {
        (0, _) => most.because.clone(),
        (1, true) => format!("{}, and likewise the other part", most.because),
        (_, true) => format!("{}, and likewise {others} other parts", most.because),
        (_, false) => format!("{} (the first of {} such parts)", most.because, others + 1),
    };
    Some(Label {
        group: most.group.clone(),
        text: text(range, parts, true),
        confidence: confidence(most, parts),
        because,
    })
}

fn of_group<'a>(label: &Label, parts: &'a [Labelled]) -> impl Iterator<Item = &'a Labelled> {
    parts.iter().filter(|part| part.label.group == label.group)
}

/// The lowest confidence of a group.
fn confidence(label: &Label, parts: &[Labelled]) -> Confidence {
    let all = of_group(label, parts).map(|part| part.label.confidence);
    all.min().unwrap_or(label.confidence)
}

/// The parts with one text.
struct Same<'a> {
    text: &'a str,
    count: usize,
    size: u64,
    confidence: Confidence,
}

/// The text of the labels in a range: those of the largest parts, each with its number, and the
/// unexplained share, if `with_rest` is set. A text that is less certain than the row says so.
pub(super) fn text(range: AddressRange, parts: &[Labelled], with_rest: bool) -> String {
    match parts {
        [] => return String::new(),
        [only] if covers(only, range) => return only.label.text.clone(),
        _ => {}
    }
    let mut all: Vec<Same<'_>> = Vec::new();
    let mut by_text: HashMap<&str, usize> = HashMap::new();
    let mut rest = range.size();
    for Labelled { range: part, label } in parts {
        let size = part.intersect(&range).map_or(0, |common| common.size());
        rest = rest.saturating_sub(size);
        let index = *by_text.entry(&label.text).or_insert(all.len());
        match all.get_mut(index) {
            Some(same) => {
                same.count += 1;
                same.size += size;
                same.confidence = same.confidence.min(label.confidence);
            }
            None => {
                let (text, confidence) = (label.text.as_str(), label.confidence);
                all.push(Same { text, count: 1, size, confidence });
            }
        }
    }
    let mut sizes: Vec<u64> = all.iter().map(|same| same.size).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let least = sizes.get(MAX_TEXTS - 1).copied().unwrap_or(0);
    let of_row = most(range, parts).map_or(Confidence::Certain, |most| confidence(most, parts));
    let shown = all.iter().filter(|same| same.size >= least).take(MAX_TEXTS);
    let texts: Vec<String> = shown.map(|same| same.words(of_row)).collect();
    let mut text = texts.join("; ");
    if all.len() > MAX_TEXTS {
        text.push_str(&format!("; {} parts in all", parts.len()));
    }
    if with_rest && !text.is_empty() && rest > 0 {
        text.push_str(&format!("; {} unexplained", short(rest)));
    }
    text
}

impl Same<'_> {
    /// The text with the number of parts that have it, and its confidence if that is lower than the
    /// row's.
    fn words(&self, of_row: Confidence) -> String {
        let doubt = match self.confidence {
            confidence if confidence >= of_row => "",
            Confidence::Guess => " (a guess)",
            Confidence::Likely | Confidence::Certain => " (likely)",
        };
        format!("{}{doubt}", repeated(self.text, self.count))
    }
}

/// A text with the number of parts that have it.
fn repeated(text: &str, count: usize) -> String {
    if count == 1 {
        return text.to_owned();
    }
    match text.split_once("a single block of ") {
        Some((before, size)) => format!("{before}{count} blocks of {size}"),
        None => format!("{count} times: {text}"),
    }
}
