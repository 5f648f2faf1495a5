//! Frames of call stacks.

use super::values::printable;
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
    let name = function(frame);
    // `operator()` and `(anonymous namespace)` begin with a parenthesis that opens no parameter
    // list.
    let mut depth = 0_u32;
    let list = name.char_indices().find(|&(at, c)| {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let before = &name[..at];
        let is_name = before.is_empty() || before.ends_with("operator") || before.ends_with("::");
        c == '(' && depth == 0 && !is_name
    });
    list.map_or(name.clone(), |(at, _)| name[..at].to_owned())
}

/// The last component of a module's path.
pub fn module_name(frame: &SymbolFrame) -> String {
    printable(frame.module.rsplit('/').next().unwrap_or_default().as_bytes())
}
