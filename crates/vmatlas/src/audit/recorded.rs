//! The order of calls in a recording.

use crate::atlas::Atlas;
use vmatlas_explain::audit::Finding;

/// The findings about the order of calls; none for other sources.
pub(super) fn sequences(_atlas: &Atlas) -> Vec<Finding> {
    Vec::new()
}
