//! The difference of two surveys.

use super::group::SurveyGroup;
use super::measure::Survey;
use std::collections::BTreeMap;

/// A group in two surveys; one of them may lack it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupGrowth {
    /// The key: any bytes.
    pub key: Vec<u8>,
    /// Its sums in the first survey.
    pub before: Option<SurveyGroup>,
    /// Its sums in the second.
    pub after: Option<SurveyGroup>,
}

impl GroupGrowth {
    /// By how much a number grew; what is missing has 0. `None` if it is not known.
    pub fn by(&self, number: impl Fn(&SurveyGroup) -> Option<u64>) -> Option<i128> {
        let of = |group: &Option<SurveyGroup>| group.as_ref().map_or(Some(0), &number);
        Some(i128::from(of(&self.after)?) - i128::from(of(&self.before)?))
    }

    /// What happened to it, in one word.
    pub fn word(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "new",
            (_, None) => "gone",
            _ => match self.by(size) {
                Some(growth) if growth < 0 => "shrank",
                Some(0) => "changed",
                _ => "grew",
            },
        }
    }
}

/// The size by which groups are ordered.
fn size(group: &SurveyGroup) -> Option<u64> {
    group.sizes.pss.or(group.sizes.rss).or(Some(group.size))
}

impl Survey {
    /// The groups whose sums differ in a later survey by the same key: the largest difference first.
    pub fn growth(&self, later: &Survey) -> Vec<GroupGrowth> {
        let mut groups: BTreeMap<&[u8], GroupGrowth> = BTreeMap::new();
        for group in &self.groups {
            groups.entry(&group.key).or_default().before = Some(group.clone());
        }
        for group in &later.groups {
            groups.entry(&group.key).or_default().after = Some(group.clone());
        }
        let keyed =
            |(key, growth): (&[u8], GroupGrowth)| GroupGrowth { key: key.to_vec(), ..growth };
        let mut all: Vec<GroupGrowth> = groups.into_iter().map(keyed).collect();
        all.retain(|growth| growth.before != growth.after);
        all.sort_by_key(|growth| std::cmp::Reverse(growth.by(size).unwrap_or(0).unsigned_abs()));
        all
    }
}
