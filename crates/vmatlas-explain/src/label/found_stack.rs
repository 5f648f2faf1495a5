//! A stack of a thread, as recognisers find it.

use vmatlas_maps::AddressRange;

/// A larger row without permissions below a stack is something else that it happens to touch.
pub(super) const LARGEST_GUARD: u64 = 1 << 20;

/// A stack that was labelled.
pub(super) struct Stack {
    pub(super) range: AddressRange,
    pub(super) owner: String,
}
