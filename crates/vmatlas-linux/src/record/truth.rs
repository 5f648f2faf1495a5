//! How true a recording is.

/// What a recorder found when it held its model against the kernel.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Truth {
    /// Events that were written.
    pub events: u64,
    /// Tasks that were made.
    pub tasks: u64,
    /// Programs that were executed.
    pub execs: u64,
    /// Looks at the rows around what a call touched.
    pub checks: u64,
    /// Comparisons of all rows of an address space.
    pub whole_checks: u64,
    /// Rows that those showed.
    pub rows: u64,
    /// Rows among them that the model had otherwise.
    pub rows_wrong: u64,
    /// Rows that processes had just before they exited.
    pub rows_at_exit: u64,
    /// Rows among them that the model had otherwise.
    pub rows_wrong_at_exit: u64,
    /// Joins that could not be known and went the other way, and growth of stacks.
    pub settled: u64,
    /// Rows that no event explains.
    pub corrected: u64,
    /// Calls that succeeded though the model refuses them.
    pub refused: u64,
    /// Calls whose place among the others is not certain.
    pub out_of_order: u64,
    /// Events that were lost.
    pub lost: u64,
    /// Calls whose stack was lost.
    pub stacks_lost: u64,
}
