//! Options for showing the map.

use crate::output::columns::Column;
use vmatlas::{KernelVersion, TextFormat};

/// Options for showing the map.
pub(crate) struct Plan {
    /// The requested columns; empty for the default ones.
    pub(crate) columns: Vec<Column>,
    pub(crate) header: bool,
    /// Whether all rows are shown in the order of their addresses, so that gaps can be shown.
    pub(crate) in_order: bool,
    /// Whether to suggest the next command.
    pub(crate) hints: bool,
    /// The format of the kernel's text.
    pub(crate) format: TextFormat,
    pub(crate) kernel: Option<KernelVersion>,
    /// Whether the reader is a terminal, to which exact bytes are commands.
    pub(crate) terminal: bool,
}
