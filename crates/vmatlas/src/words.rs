//! Values as text for people: the one place that forms such text, for every view.
//!
//! No function here breaks lines or knows a width or a color. Strings from outside are
//! [escaped](printable).

pub(crate) mod dates;
pub(crate) mod frames;
#[cfg(feature = "recordings")]
pub(crate) mod origins;
pub(crate) mod rows;
pub(crate) mod shell;
pub(crate) mod values;
mod verdict;

pub use dates::utc;
pub use frames::{brief_function, function, module_name, short_function};
#[cfg(feature = "recordings")]
pub use origins::{ending, folded_frame, origin, origins, thread};
pub use rows::{labels, mapping, sections};
pub use shell::{shell_target, shell_word};
pub use values::{
    bytes, change, count, hex, name, printable, rights, seconds, share, size, status, tagged,
};
pub use verdict::verdict;
