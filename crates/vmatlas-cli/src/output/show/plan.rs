//! How the map shall look.

use crate::output::columns::Column;
use vmatlas::{KernelVersion, TextFormat};

/// How the map shall look.
pub(crate) struct Plan {
    /// The columns asked for; none for the usual ones.
    pub(crate) columns: Vec<Column>,
    pub(crate) header: bool,
    /// Whether all rows come in the order of their addresses, so that gaps can be shown.
    pub(crate) in_order: bool,
    /// Whether to say what to type next.
    pub(crate) hints: bool,
    /// The kernel's text: how it writes rows, and what it names.
    pub(crate) format: TextFormat,
    pub(crate) kernel: Option<KernelVersion>,
}
