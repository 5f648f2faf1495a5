//! Memory policies, as mbind(2) sets them.

/// The policy of a memory range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// `MPOL_LOCAL`.
    Local,
    /// `MPOL_BIND` to these nodes.
    Bind(Vec<u32>),
    /// `MPOL_PREFERRED`.
    Preferred(u32),
    /// `MPOL_INTERLEAVE` over these nodes.
    Interleave(Vec<u32>),
}
