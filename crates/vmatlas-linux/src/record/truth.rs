//! The accuracy of a recording.

/// The results of comparing the model with the kernel.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Truth {
    /// Events that were written.
    pub events: u64,
    /// Tasks made.
    pub tasks: u64,
    /// Programs executed.
    pub execs: u64,
    /// Checks of the rows around a call's range.
    pub checks: u64,
    /// Comparisons of all rows of an address space.
    pub whole_checks: u64,
    /// Rows in these comparisons.
    pub rows: u64,
    /// Rows among them that differed in the model.
    pub rows_wrong: u64,
    /// Rows of processes just before they exited.
    pub rows_at_exit: u64,
    /// Rows among them that differed in the model.
    pub rows_wrong_at_exit: u64,
    /// Unpredictable merges that went the other way, and stack growth.
    pub settled: u64,
    /// Rows that no event explains.
    pub corrected: u64,
    /// Calls that succeeded although the model refuses them.
    pub refused: u64,
    /// Calls whose place in the order is not certain.
    pub out_of_order: u64,
    /// Events that were lost.
    pub lost: u64,
    /// Whether these may be events of other processes: as root, perf events record all processes of
    /// a processor, and those of the program are picked out of them.
    pub lost_of_all: bool,
    /// Calls whose stack was lost.
    pub stacks_lost: u64,
}
