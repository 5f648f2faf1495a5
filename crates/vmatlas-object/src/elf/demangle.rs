//! Demangled symbol names.

use std::fmt::{self, Write};

/// Longer names are not demangled.
const MAX_NAME: usize = 32 << 10;
/// A few hundred mangled bytes can expand to any number of demangled ones.
const MAX_OUTPUT: usize = 64 << 10;

/// Demangles a symbol name of Rust (legacy and v0 mangling) or C++ (Itanium ABI); other names are
/// returned unchanged. A version suffix (`@GLIBCXX_3.4`) stays. Invalid UTF-8 is replaced. A name
/// longer than 32 KiB, or whose demangled form exceeds 64 KiB, is not demangled.
///
/// ```
/// use vmatlas_object::elf::demangle;
///
/// assert_eq!(demangle(b"_ZNSt6thread6detachEv"), "std::thread::detach()");
/// assert_eq!(demangle(b"_RNvCs1234_7mycrate3foo"), "mycrate::foo");
/// assert_eq!(demangle(b"read"), "read");
/// ```
pub fn demangle(name: &[u8]) -> String {
    let at = name.iter().position(|&b| b == b'@').unwrap_or(name.len());
    let (symbol, version) = name.split_at(at);
    let mut text = rust(symbol).or_else(|| cpp(symbol)).unwrap_or_else(|| lossy(symbol));
    text.push_str(&lossy(version));
    text
}

fn rust(symbol: &[u8]) -> Option<String> {
    if symbol.len() > MAX_NAME {
        return None;
    }
    let symbol = rustc_demangle::try_demangle(str::from_utf8(symbol).ok()?).ok()?;
    let mut output = Bounded::default();
    write!(output, "{symbol:#}").ok()?; // without the hash
    Some(output.text)
}

fn cpp(symbol: &[u8]) -> Option<String> {
    if symbol.len() > MAX_NAME || !(symbol.starts_with(b"_Z") || symbol.starts_with(b"_GLOBAL_")) {
        return None;
    }
    let symbol = cpp_demangle::Symbol::new(symbol).ok()?;
    let mut output = Bounded::default();
    symbol.structured_demangle(&mut output, &Default::default()).ok()?;
    Some(special_name(&output.text).unwrap_or(output.text))
}

/// Writes `vtable for X` instead of cpp_demangle's `{vtable(X)}`, as binutils and gdb do.
fn special_name(text: &str) -> Option<String> {
    let (what, of) = text.strip_prefix('{')?.strip_suffix(")}")?.split_once('(')?;
    let what = match what {
        "vtable" | "typeinfo" | "typeinfo name" => what,
        "vtt" => "VTT",
        _ => return None,
    };
    Some(format!("{what} for {of}"))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A string that rejects text beyond a limit. Both demanglers bound their recursion themselves.
#[derive(Default)]
struct Bounded {
    text: String,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.text.len() + s.len() > MAX_OUTPUT {
            return Err(fmt::Error);
        }
        self.text.push_str(s);
        Ok(())
    }
}
