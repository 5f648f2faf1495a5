//! A thread stack found by a recogniser.

use super::Confidence;
use vmatlas_maps::AddressRange;

/// A larger row without permissions below a stack is not its guard.
pub(super) const LARGEST_GUARD: u64 = 1 << 20;

/// A stack that was labelled.
pub(super) struct Stack {
    pub(super) range: AddressRange,
    /// Its name in a sentence, such as `stack of thread 12`.
    pub(super) name: String,
    /// How reliable its label is.
    pub(super) confidence: Confidence,
}
