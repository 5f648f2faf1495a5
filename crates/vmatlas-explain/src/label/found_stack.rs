//! A thread stack found by a recogniser.

use vmatlas_maps::AddressRange;

/// A larger row without permissions below a stack is not its guard.
pub(super) const LARGEST_GUARD: u64 = 1 << 20;

/// A stack that was labelled.
pub(super) struct Stack {
    pub(super) range: AddressRange,
    pub(super) owner: String,
}
