//! Values in the words of people: the one place where texts are made of them, for every view.
//!
//! Nothing here breaks lines, knows a width or a color. What comes from outside is
//! [escaped](printable).

pub(crate) mod frames;
pub(crate) mod rows;
pub(crate) mod values;

pub use frames::{function, module_name, short_function};
pub use rows::{ending, labels, mapping, origin, origins, sections, thread};
pub use values::{bytes, count, hex, name, printable, rights, seconds, share, size, status};
