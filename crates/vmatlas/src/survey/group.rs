//! The keys of groups, and their sums.

use crate::totals::By;
use vmatlas_linux::access::user_name;
use vmatlas_maps::{Identity, Sizes, Total};

/// The key by which a survey groups processes, or rows of all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupBy {
    /// The path of the executable, or the name of the command where the path may not be seen.
    #[default]
    Program,
    /// Each process.
    Process,
    /// The effective user.
    User,
    /// The control group to which memory is charged.
    Cgroup,
    /// The container, by the control group.
    Container,
    /// The unit of systemd, by the control group.
    Unit,
    /// A key of rows.
    Rows(By),
}

impl GroupBy {
    /// Its word in documents.
    pub fn word(self) -> &'static str {
        match self {
            GroupBy::Program => "program",
            GroupBy::Process => "process",
            GroupBy::User => "user",
            GroupBy::Cgroup => "cgroup",
            GroupBy::Container => "container",
            GroupBy::Unit => "unit",
            GroupBy::Rows(by) => by.word(),
        }
    }

    /// The key of a process; of rows it depends on the row.
    pub(super) fn key(self, identity: &Identity) -> Vec<u8> {
        let or_none = |text: &str| match text {
            "" => b"none".to_vec(),
            text => text.as_bytes().to_vec(),
        };
        match self {
            GroupBy::Program => identity.program().to_vec(),
            GroupBy::Process => {
                let mut key =
                    identity.pid.map(|pid| pid.to_string()).unwrap_or_default().into_bytes();
                key.push(b' ');
                key.extend_from_slice(&identity.comm);
                key
            }
            GroupBy::User => match identity.uid {
                Some(uid) => user_name(uid).unwrap_or_else(|| uid.to_string()).into_bytes(),
                None => b"unknown".to_vec(),
            },
            GroupBy::Cgroup => or_none(&identity.cgroup),
            GroupBy::Container => or_none(&identity.container),
            GroupBy::Unit => or_none(&identity.unit),
            GroupBy::Rows(_) => Vec::new(),
        }
    }
}

/// The sums of a group. Sizes are in bytes, and `None` where they were not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SurveyGroup {
    /// The key: any bytes.
    pub key: Vec<u8>,
    /// The processes that have such rows.
    pub processes: u64,
    /// The rows; `None` if none were read.
    pub rows: Option<u64>,
    /// The bytes of address space that they cover.
    pub size: u64,
    /// The sums over their rows.
    pub sizes: Sizes,
    /// The rows of the process that has the most, which `vm.max_map_count` limits.
    pub most_rows: u64,
    /// Rows that may be written and executed, where rows were read.
    pub writable_code: u64,
    /// Rows of code whose file was deleted or replaced, where rows were read.
    pub deleted_code: u64,
}

impl SurveyGroup {
    /// Resident memory that others map too, each page counted once if all that map it were read.
    pub fn shared(&self) -> Option<u64> {
        Some(self.sizes.pss?.saturating_sub(self.sizes.uss?))
    }

    /// Huge pages: transparent ones, and those of hugetlbfs, which are not in resident memory.
    pub fn huge(&self) -> Option<u64> {
        match (self.sizes.thp, self.sizes.hugetlb) {
            (None, None) => None,
            (thp, hugetlb) => Some(thp.unwrap_or(0).saturating_add(hugetlb.unwrap_or(0))),
        }
    }

    /// Adds the sums of another part, of which no process was counted before.
    pub(super) fn add(&mut self, part: &SurveyGroup) {
        self.processes += part.processes;
        self.rows = match (self.rows, part.rows) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
        };
        self.size = self.size.saturating_add(part.size);
        self.sizes = self.sizes.plus(part.sizes);
        self.most_rows = self.most_rows.max(part.most_rows);
        self.writable_code += part.writable_code;
        self.deleted_code += part.deleted_code;
    }

    /// The sum of rows of one process.
    pub(super) fn of_rows(total: &Total) -> SurveyGroup {
        SurveyGroup {
            key: total.key.clone(),
            processes: 1,
            rows: Some(total.mappings),
            size: total.size,
            sizes: total.sizes,
            most_rows: total.mappings,
            ..SurveyGroup::default()
        }
    }
}
