//! Scenarios: operations on an address space as text, and the rows that must follow. Each is run on
//! the model and on a kernel, so that one proves the other.
//!
//! ```
//! use vmatlas_space::KernelProfile;
//! use vmatlas_space::scenario::{Model, StepKind, scenarios};
//! let text = b"scenario joins\nmap 0 1 rw\nmap 1 1 rw\nexpect\n  0-2 rw-p\nend\n";
//! let scenario = scenarios(text).next().unwrap()?;
//! let mut model = Model::new(KernelProfile::of("6.18".parse()?), scenario.region);
//! for step in &scenario.steps {
//!     match &step.kind {
//!         StepKind::Operation(operation, outcome) => assert_eq!(model.apply(operation), *outcome),
//!         StepKind::Expect(rows) => assert_eq!(model.rows(), *rows),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Scenario`] is one of them, [`Operation`] a step; [`scenarios`] parses a file of them, and a
//!   scenario displays as its text.
//! - [`Model`] runs a scenario on [`AddressSpace`](crate::AddressSpace); [`compare`] holds rows of a
//!   kernel against those expected.
//! - [`Random`] makes random scenarios, and a failing one can be made smaller by
//!   [`Scenario::shrink`].
//!
//! Nothing here runs on a kernel: `vmatlas-linux` does that.

mod compare;
mod error;
mod model;
mod needs;
mod operation;
mod parse;
mod random;
mod shrink;
mod verify;
mod waits;
mod words;
mod write;

pub use compare::{Difference, Identity, KernelRow, Labels, compare, labelled};
pub use error::{ScenarioError, ScenarioErrorKind};
pub use model::Model;
pub use operation::{
    Access, Advice, Failure, Length, Map, Name, Operation, PageAddress, Policy, Sharing, Span,
};
pub use parse::{Scenarios, scenarios};
pub use random::Random;
pub use verify::Mismatch;

use vmatlas_maps::Perms;

/// A sequence of operations, and the rows that the region must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The name; several scenarios may share it if no kernel version satisfies two of them.
    pub name: String,
    /// The line of its first word, counted from 1.
    pub line: u32,
    /// The conditions on the kernel version; all must hold.
    pub kernel: Vec<VersionCondition>,
    /// The facts that the machine must have.
    pub needs: Vec<Fact>,
    /// The region of its rows.
    pub region: Region,
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// A step of a scenario, with its line counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The line of the step.
    pub line: u32,
    /// The kind of the step.
    pub kind: StepKind,
}

/// The kind of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// An operation and its expected outcome.
    Operation(Operation, Result<(), Failure>),
    /// The rows that the region must show.
    Expect(Vec<ScenarioRow>),
}

/// A condition on the first two numbers of the kernel's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionCondition {
    /// The comparison with the running version.
    pub comparison: Comparison,
    /// The major and minor number to compare with.
    pub version: (u16, u16),
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in Rust's ordering operators")]
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// A feature or setting that a machine may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fact {
    /// `thp`: CONFIG_TRANSPARENT_HUGEPAGE.
    Thp,
    /// `ksm`: CONFIG_KSM.
    Ksm,
    /// `ksm-prctl`: PR_SET_MEMORY_MERGE.
    KsmPrctl,
    /// `pkeys`: protection keys.
    Pkeys,
    /// `uffd`: userfaultfd(2).
    Uffd,
    /// `anon-names`: CONFIG_ANON_VMA_NAME.
    AnonNames,
    /// `mseal`: mseal(2).
    Mseal,
    /// `numa`: mbind(2).
    Numa,
    /// `guard`: MADV_GUARD_INSTALL.
    Guard,
    /// `droppable`: MAP_DROPPABLE.
    Droppable,
    /// `secretmem`: memfd_secret(2).
    Secretmem,
    /// `sysv`: System V shared memory.
    Sysv,
    /// `tmpfile`: the file system has files without a name.
    Tmpfile,
    /// `hugetlb`: huge pages are reserved.
    Hugetlb,
    /// `noreserve`: vm.overcommit_memory is not 2.
    Noreserve,
    /// `map-vdso`: CONFIG_CHECKPOINT_RESTORE on x86-64.
    MapVdso,
    /// `root`: the user is root.
    Root,
}

/// The address region of a scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Region {
    /// 2^20 unused pages, far from all other mappings.
    #[default]
    Plain,
    /// Starts at the program break, which was moved so that the page before it is a hole.
    Heap,
    /// Page 1024 is the lowest page of `[stack]`, the region ends at page 1040.
    Stack,
}

/// A row that must be shown, cut to the region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioRow {
    /// The first page.
    pub from: i64,
    /// The first page after it.
    pub to: i64,
    /// The permissions.
    pub perms: Perms,
    /// The file or name.
    pub backing: Backing,
}

/// The part of a row besides its addresses and permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backing {
    /// No inode: a name from the kernel, or an empty one.
    None(Vec<u8>),
    /// An inode.
    Object {
        /// The offset, in pages.
        offset: u64,
        /// The label of the object.
        label: Name,
        /// The name as printed, without the scenario's directory; `#INODE` for a file without a
        /// name.
        shown: Vec<u8>,
    },
}
