//! Values as text for people: the one place that forms such text, for every view.
//!
//! No function here breaks lines or knows a width or a color. Strings from outside are
//! [escaped](printable).

pub(crate) mod frames;
pub(crate) mod rows;
pub(crate) mod values;

pub use frames::{function, module_name, short_function};
pub use rows::{ending, labels, mapping, origin, origins, sections, thread};
pub use values::{bytes, count, hex, name, printable, rights, seconds, share, size, status};
