//! Frames of call stacks.

use super::values::printable;
use vmatlas_explain::frames::{path, without_templates};
use vmatlas_linux::symbols::SymbolFrame;

/// The function of a frame, or its location if the function has no name.
pub fn function(frame: &SymbolFrame) -> String {
    if frame.function.is_empty() {
        let file = frame.module.rsplit('/').next().unwrap_or_default();
        return printable(format!("{file}+{:#x}", frame.shown_offset()).as_bytes());
    }
    printable(frame.function.as_bytes())
}

/// The function without its parameters, for a line that names several.
pub fn short_function(frame: &SymbolFrame) -> String {
    if frame.function.is_empty() {
        return function(frame);
    }
    printable(path(&frame.function).as_bytes())
}

/// The [short function](short_function) with `…` in place of the arguments of templates if they are
/// long.
pub fn brief_function(frame: &SymbolFrame) -> String {
    /// The most characters of a name that is not shortened.
    const LONG: usize = 40;
    let name = short_function(frame);
    if frame.function.is_empty() || name.chars().count() <= LONG {
        return name;
    }
    printable(without_templates(path(&frame.function)).as_bytes())
}

/// The last component of a module's path.
pub fn module_name(frame: &SymbolFrame) -> String {
    printable(frame.module.rsplit('/').next().unwrap_or_default().as_bytes())
}
