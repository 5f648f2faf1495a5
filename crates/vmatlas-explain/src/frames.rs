//! The functions of a call stack that only pass a request for memory on: of the allocator, the
//! dynamic linker, the C library, and the standard library of a language.
//!
//! The functions of the C library are those of glibc 2.36 (malloc/malloc.c, malloc/arena.c) and of
//! musl 1.2.

/// The file names of shared objects with an allocator that replaces the C library's.
pub(crate) const JEMALLOC: &str = "libjemalloc";
pub(crate) const MIMALLOC: &str = "libmimalloc";
pub(crate) const TCMALLOC: &str = "libtcmalloc";

/// Prefixes of the file names of the C library and the dynamic linker.
const C_LIBRARY: [&str; 7] =
    ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "ld64.so", "ld.so"];
/// glibc's dynamic linker, which uses its own malloc until the C library is loaded.
const LINKER: [&str; 3] = ["ld-linux", "ld64.so", "ld.so"];
/// Prefixes of the file names of C++'s standard libraries.
const CPP_LIBRARY: [&str; 2] = ["libstdc++.so", "libc++"];

/// Directories of the sources of the standard libraries of C++ and Rust.
const STANDARD_SOURCES: [&str; 2] = ["/include/c++/", "/rustc/"];

/// The malloc functions that a program calls.
const MALLOC: [&str; 9] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
];
/// The glibc functions that map an arena of a thread or another heap of one.
pub(crate) const ARENA: [&str; 4] = ["new_heap", "alloc_new_heap", "int_new_arena", "arena_get2"];
/// The functions that malloc calls.
const INSIDE_MALLOC: [&str; 9] = [
    "sysmalloc",
    "sysmalloc_mmap",
    "sysmalloc_mmap_fallback",
    "mid_memalign",
    "int_realloc",
    "int_malloc",
    "int_memalign",
    "tcache_init",
    "glibc_morecore",
];
/// The functions that give blocks back, and those that they call.
const FREE: [&str; 8] = [
    "free",
    "cfree",
    "int_free",
    "malloc_consolidate",
    "unlink_chunk",
    "tcache_get",
    "munmap_chunk",
    "mremap_chunk",
];
/// The C library's wrappers of system calls.
const SYSTEM_CALLS: [&str; 9] =
    ["mmap", "mmap64", "syscall", "munmap", "mremap", "mprotect", "brk", "sbrk", "madvise"];
/// The functions by which Rust's standard library allocates.
const RUST_ALLOC: [&str; 6] = [
    "rust_alloc",
    "rust_alloc_zeroed",
    "rust_realloc",
    "rdl_alloc",
    "rdl_alloc_zeroed",
    "rdl_realloc",
];
/// Prefixes of the functions of allocators that may be linked into the program, without their
/// underscores, and the words of which the rest of the name has one.
const LINKED_ALLOCATORS: [&str; 4] = ["je_", "rjem_je_", "mi_", "tc_"];
const PARTS_OF_ALLOCATORS: [&str; 10] =
    ["alloc", "heap", "arena", "page", "segment", "extent", "tcache", "ehooks", "os_", "prim_"];
/// The functions that start a program or a thread, in a static program without [`base`]'s prefixes.
const STARTERS: [&str; 6] =
    ["start", "start_main", "start_main_impl", "start_call_main", "clone", "clone3"];

/// The part of a program that a function belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameRole {
    /// The program, or a library of which nothing else is known.
    Program,
    /// An allocator, or a wrapper of a system call that maps memory.
    Allocator,
    /// The dynamic linker.
    Loader,
    /// Another function of the C library.
    CLibrary,
    /// The standard library of C++ or Rust.
    Standard,
}

impl FrameRole {
    /// The role of a function, by its demangled name, the path or name of its file, and that of its
    /// source, which may be empty.
    ///
    /// ```
    /// use vmatlas_explain::frames::FrameRole;
    ///
    /// assert_eq!(FrameRole::of("operator new(unsigned long)", "a.out", ""), FrameRole::Allocator);
    /// assert_eq!(FrameRole::of("_dl_map_object", "ld-linux-x86-64.so.2", ""), FrameRole::Loader);
    /// assert_eq!(FrameRole::of("Cache::grow(int)", "a.out", "cache.cc:7"), FrameRole::Program);
    /// ```
    pub fn of(function: &str, file: &str, source: &str) -> FrameRole {
        let path = path(function);
        let name = base(path);
        // An inlined function may lack its namespace.
        let is_of_standard = || {
            is_one_of(file, &CPP_LIBRARY) || STANDARD_SOURCES.iter().any(|dir| source.contains(dir))
        };
        if is_allocator(path, name) || is_one_of(file, &[JEMALLOC, MIMALLOC, TCMALLOC]) {
            FrameRole::Allocator
        } else if is_linker(file) || is_of_linker(name) && (is_c_library(file) || name != path) {
            FrameRole::Loader
        } else if is_c_library(file) || is_of_c_library(path, name) {
            FrameRole::CLibrary
        } else if is_of_standard() || is_standard(function, path) {
            FrameRole::Standard
        } else {
            FrameRole::Program
        }
    }
}

/// Whether a file is the C library or the dynamic linker.
pub(crate) fn is_c_library(file: &str) -> bool {
    is_one_of(file, &C_LIBRARY)
}

/// Whether a file is glibc's dynamic linker.
pub(crate) fn is_linker(file: &str) -> bool {
    is_one_of(file, &LINKER)
}

fn is_one_of(file: &str, prefixes: &[&str]) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default();
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a function is malloc, one that it calls, or a wrapper of a system call.
pub(crate) fn is_malloc_or_call(name: &str) -> bool {
    let name = base(name);
    is_malloc(name) || [&INSIDE_MALLOC[..], &SYSTEM_CALLS[..]].iter().any(|all| all.contains(&name))
}

/// Whether a program calls a function to allocate, or it is one that makes an arena.
pub(crate) fn is_malloc(name: &str) -> bool {
    let name = base(name);
    MALLOC.contains(&name) || ARENA.contains(&name)
}

/// Whether a function works on malloc's own data.
pub(crate) fn uses_data_of_malloc(name: &str) -> bool {
    let name = base(name);
    [&MALLOC[..], &INSIDE_MALLOC[..], &FREE[..]].iter().any(|names| names.contains(&name))
}

/// Whether a function is main, or one of the C library that is the first of a program or a thread.
pub(crate) fn starts_thread(name: &str) -> bool {
    const THREADS: [&str; 3] = ["start_thread", "pthread_start", "thread_start"];
    let path = path(name);
    let name = base(path);
    path == "main" || THREADS.contains(&name) || path.starts_with('_') && STARTERS.contains(&name)
}

/// Whether a function is pthread_create(3) or the one that it calls for a stack.
pub(crate) fn is_pthread_create(name: &str) -> bool {
    let name = base(name);
    name == "allocate_stack" || name.starts_with("pthread_create")
}

fn is_allocator(path: &str, name: &str) -> bool {
    let is_operator = || {
        ["operator new", "operator delete"].iter().any(|operator| {
            path.strip_prefix(operator).is_some_and(|rest| ["", "[]"].contains(&rest))
        })
    };
    let is_linked = || {
        let rest = LINKED_ALLOCATORS.iter().find_map(|prefix| name.strip_prefix(prefix));
        rest.is_some_and(|rest| {
            rest == "new" || PARTS_OF_ALLOCATORS.iter().any(|part| rest.contains(part))
        })
    };
    let is_rust = || path.starts_with('_') && RUST_ALLOC.contains(&name);
    is_malloc_or_call(path) || FREE.contains(&name) || is_operator() || is_linked() || is_rust()
}

fn is_of_linker(name: &str) -> bool {
    ["dl_", "dlopen", "dlmopen"].iter().any(|prefix| name.starts_with(prefix))
}

fn is_of_c_library(path: &str, name: &str) -> bool {
    // Without an underscore it may be a function of the program.
    is_pthread_create(name) || path == "clone3" || path.starts_with('_') && STARTERS.contains(&name)
}

/// Whether a function belongs to the standard library of C++ or Rust.
fn is_standard(function: &str, path: &str) -> bool {
    const CPP: [&str; 3] = ["std::", "__gnu_cxx::", "__cxxabiv1::"];
    const RUST: [&str; 4] = ["alloc::", "core::", "std::", "hashbrown::"];
    let name = without_templates(path);
    let is_rust = || {
        // A namespace of C++ may have such a name, but then the function has parameters.
        let start = path.strip_prefix('<').unwrap_or(path);
        path.len() == function.len() && RUST.iter().any(|name| start.starts_with(name))
    };
    path == "execute_native_thread_routine"
        || CPP.iter().any(|start| path.starts_with(start))
        || name.contains("::_M_")
        || name.contains("allocator_traits")
        || is_rust()
}

/// The name without its symbol version, the compiler's suffixes for parts and variants of a
/// function, and the C library's internal prefixes: `__GI___libc_malloc` is `malloc`,
/// `sysmalloc_mmap.constprop.0` is `sysmalloc_mmap`.
pub fn base(name: &str) -> &str {
    const SUFFIXES: [&str; 6] =
        [".constprop.", ".isra.", ".part.", ".cold", ".lto_priv.", ".llvm."];
    let name = name.split('@').next().unwrap_or(name);
    let end = SUFFIXES.iter().filter_map(|suffix| name.find(suffix)).min();
    let name = name.get(..end.unwrap_or(name.len())).unwrap_or(name);
    let name = name.strip_prefix("__GI_").unwrap_or(name).trim_start_matches('_');
    name.strip_prefix("libc_").unwrap_or(name)
}

/// A demangled name without its parameters and the type that it returns.
///
/// ```
/// use vmatlas_explain::frames::path;
///
/// assert_eq!(path("void std::swap<int>(int&, int&)"), "std::swap<int>");
/// assert_eq!(path("(anonymous namespace)::f(int)"), "(anonymous namespace)::f");
/// assert_eq!(path("A::operator()(int) const"), "A::operator()");
/// assert_eq!(path("f(int)::{lambda()#1}::operator()() const"), "f(int)::{lambda()#1}::operator()");
/// ```
pub fn path(name: &str) -> &str {
    let (mut start, mut end) = (0, None);
    let mut walk = Walk::of(name);
    while let Some((at, byte, depth)) = walk.next() {
        match (byte, end) {
            _ if depth > 0 => {}
            // A space separates an operator from its arguments.
            (b' ', None) if !name[at..].starts_with(" <") => start = at + 1,
            (b'(', None) if is_parameters(&name[..at]) => end = Some(at),
            (b')', Some(parameters)) => {
                // Behind a function may stand what is defined in it.
                if ["::", " const::"].iter().any(|next| name[at + 1..].starts_with(next)) {
                    end = None;
                    continue;
                }
                let path = &name[start..parameters];
                // Only the names of templates of functions begin with a type.
                return if path.ends_with('>') { path } else { &name[..parameters] };
            }
            _ => {}
        }
    }
    name
}

/// Whether a parenthesis after this part of a name opens the parameters: `operator()`,
/// `(anonymous namespace)`, `decltype (…)` and Go's `pkg.(*T).f` have others.
fn is_parameters(before: &str) -> bool {
    !before.is_empty()
        && !before.ends_with(' ')
        && !before.ends_with("::")
        && !before.ends_with('.')
        && !before.ends_with("decltype")
}

/// A name with `…` in place of the arguments of its templates.
///
/// ```
/// use vmatlas_explain::frames::without_templates;
///
/// let name = "Cache<std::string, Entry<int> >::operator<< <int>";
/// assert_eq!(without_templates(name), "Cache<…>::operator<< <…>");
/// assert_eq!(without_templates("<A<u8> as Iterator>::next"), "<A<…> as Iterator>::next");
/// ```
pub fn without_templates(name: &str) -> String {
    // Rust's `<A as B>` is no list of arguments.
    let kept = u32::from(name.starts_with('<'));
    let mut short = String::new();
    let mut walk = Walk::of(name);
    let mut from = 0;
    let mut opened = None;
    while let Some((at, byte, depth)) = walk.next() {
        match (byte, opened) {
            (b'<', None) if depth == kept || depth == 0 && at > 0 => opened = Some((at, depth)),
            (b'>', Some((start, opener))) if depth == opener => {
                short.push_str(&name[from..=start]);
                short.push('…');
                from = at;
                opened = None;
            }
            _ => {}
        }
    }
    short.push_str(&name[from..]);
    short
}

/// Reads the ASCII characters of a demangled name, with the number of brackets around each.
/// Skips what belongs to the name of an operator.
struct Walk<'n> {
    name: &'n [u8],
    at: usize,
    depth: u32,
}

impl Walk<'_> {
    fn of(name: &str) -> Walk<'_> {
        Walk { name: name.as_bytes(), at: 0, depth: 0 }
    }

    /// The length of the name of an operator that begins here, or 0.
    fn operator(&self) -> usize {
        const WORD: &[u8] = b"operator";
        let rest = &self.name[self.at..];
        let is_start = self.at == 0 || matches!(self.name[self.at - 1], b':' | b' ' | b'(' | b'<');
        let Some(after) = rest.strip_prefix(WORD).filter(|_| is_start) else { return 0 };
        let symbol = match after {
            [b'(', b')', ..] | [b'[', b']', ..] => 2,
            // `new`, `delete[]` or a type.
            [b' ', ..] => after.iter().position(|byte| b"(<".contains(byte)).unwrap_or(after.len()),
            _ => after.iter().take_while(|byte| b"<>=+-*/%&|^!~,".contains(byte)).count(),
        };
        if symbol == 0 { 0 } else { WORD.len() + symbol }
    }

    fn next(&mut self) -> Option<(usize, u8, u32)> {
        loop {
            let byte = *self.name.get(self.at)?;
            let operator = self.operator();
            if operator > 0 {
                self.at += operator;
                continue;
            }
            let at = self.at;
            self.at += 1;
            let is_arrow = byte == b'>' && at > 0 && self.name[at - 1] == b'-';
            let depth = match byte {
                b'<' | b'(' | b'{' | b'[' => {
                    self.depth += 1;
                    self.depth - 1
                }
                b'>' | b')' | b'}' | b']' if !is_arrow => {
                    self.depth = self.depth.saturating_sub(1);
                    self.depth
                }
                _ => self.depth,
            };
            if byte.is_ascii() {
                return Some((at, byte, depth));
            }
        }
    }
}

#[cfg(test)]
mod tests;
