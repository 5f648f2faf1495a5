//! Call stacks with a word in place of the frames that only pass a request on.

use crate::words::frames::module_name;
use crate::words::values::printable;
use vmatlas_explain::frames::{FrameRole, base, path, without_templates};
use vmatlas_linux::symbols::SymbolFrame;

/// A line of a folded call stack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoldedFrame<'f> {
    /// A function of the program.
    Program(&'f SymbolFrame),
    /// Adjacent frames of allocators, the dynamic linker, the C library and standard libraries: a
    /// word for the outermost, which the program called.
    Passed(String),
}

/// The role of the function of a frame.
pub(crate) fn role(frame: &SymbolFrame) -> FrameRole {
    let source = frame.source.as_deref().unwrap_or_default();
    FrameRole::of(&frame.function, &frame.module, source)
}

/// Folds a call stack, innermost first. A function that calls itself has one line.
pub fn folded_frames(frames: &[SymbolFrame]) -> Vec<FoldedFrame<'_>> {
    let mut folded = Vec::new();
    let is_own = |frame: &SymbolFrame| role(frame) == FrameRole::Program;
    for run in frames.chunk_by(|a, b| is_own(a) == is_own(b)) {
        if !run.first().is_some_and(is_own) {
            folded.push(FoldedFrame::Passed(word(run)));
            continue;
        }
        let is_same = |a: &SymbolFrame, b: &SymbolFrame| {
            !a.function.is_empty() && (&a.function, &a.module) == (&b.function, &b.module)
        };
        let calls = run.chunk_by(is_same).filter_map(<[SymbolFrame]>::last);
        folded.extend(calls.map(FoldedFrame::Program));
    }
    folded
}

/// The word for frames that pass a request on.
fn word(run: &[SymbolFrame]) -> String {
    let Some(outermost) = run.last() else { return String::new() };
    let name = path(&outermost.function);
    match role(outermost) {
        FrameRole::Standard => {
            let standard = run.iter().rev().take_while(|frame| role(frame) == FrameRole::Standard);
            let part = standard.filter_map(|frame| part_of_standard(&frame.function)).next();
            part.unwrap_or_else(|| "std".to_owned())
        }
        FrameRole::Loader if !["dlopen", "dlmopen"].contains(&base(name)) => "loader".to_owned(),
        _ if name.is_empty() => module_name(outermost),
        // glibc's name has a version.
        FrameRole::CLibrary if base(name).starts_with("pthread_create") => {
            "pthread_create".to_owned()
        }
        FrameRole::CLibrary => {
            let name = name.split('@').next().unwrap_or(name);
            printable(name.strip_prefix("__GI_").unwrap_or(name).as_bytes())
        }
        _ => printable(base(name).as_bytes()),
    }
}

/// The class or module of a standard library that a function belongs to: `std::vector`. `None` if
/// it is one that programs do not name.
fn part_of_standard(function: &str) -> Option<String> {
    const VERSIONS: [&str; 3] = ["__cxx11", "__1", "__ndk1"];
    let name = without_templates(path(function));
    let mut parts = name.trim_start_matches('<').split("::");
    let library = parts.next()?;
    let part = parts.find(|part| !VERSIONS.contains(part))?;
    let part = part.split(['<', ' ', '(']).next()?;
    let part = if part == "basic_string" { "string" } else { part };
    let is_named = !part.is_empty() && !part.starts_with(['_', '{']) && !library.starts_with('_');
    is_named.then(|| printable(format!("{library}::{part}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{FoldedFrame, folded_frames};
    use crate::words::function;
    use vmatlas_linux::symbols::SymbolFrame;

    fn folded(frames: &[(&str, &str)]) -> Vec<String> {
        let frame = |&(function, module): &(&str, &str)| SymbolFrame {
            function: function.to_owned(),
            module: module.to_owned(),
            ..SymbolFrame::default()
        };
        let frames: Vec<SymbolFrame> = frames.iter().map(frame).collect();
        let word = |line: &FoldedFrame<'_>| match line {
            FoldedFrame::Program(frame) => format!("own {}", function(frame)),
            FoldedFrame::Passed(word) => word.clone(),
        };
        folded_frames(&frames).iter().map(word).collect()
    }

    #[test]
    fn a_word_stands_for_frames_that_pass_requests_on() {
        const LIBC: &str = "/lib/libc.so.6";
        let vector = [
            ("sysmalloc", LIBC),
            ("__libc_malloc", LIBC),
            ("operator new(unsigned long)", "/lib/libstdc++.so.6"),
            ("std::_Vector_base<int, std::allocator<int> >::_M_allocate(unsigned long)", "a"),
            ("void std::vector<int, std::allocator<int> >::emplace_back<int>(int&&)", "a"),
            ("grow(int)", "a"),
            ("grow(int)", "a"),
            ("void std::__invoke_impl<void, int>(int&&)", "a"),
            ("run()", "a"),
            ("main", "a"),
            ("__libc_start_call_main", LIBC),
            ("_start", "a"),
        ];
        let expected = ["std::vector", "own grow(int)", "std", "own run()", "own main", "_start"];
        assert_eq!(folded(&vector), expected);
        let string = "std::__cxx11::basic_string<char>::_M_create(unsigned long&, unsigned long)";
        assert_eq!(folded(&[("mmap64", LIBC), (string, "a"), ("", "a")])[0], "std::string");
        assert_eq!(folded(&[("__mmap64", LIBC), ("main", "a")]), ["mmap64", "own main"]);
        let loaded =
            [("_dl_map_object", "/lib64/ld-linux-x86-64.so.2"), ("dlopen@@GLIBC_2.34", LIBC)];
        assert_eq!(folded(&loaded), ["dlopen"]);
        assert_eq!(folded(&loaded[..1]), ["loader"]);
        assert_eq!(folded(&[("", LIBC), ("main", "a")]), ["libc.so.6", "own main"]);
        let rust = [("alloc::raw_vec::finish_grow", "a"), ("<alloc::vec::Vec<T> as A>::x", "a")];
        assert_eq!(folded(&rust), ["alloc::vec"]);
    }
}
