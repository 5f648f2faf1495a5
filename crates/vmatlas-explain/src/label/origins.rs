//! Memory of a recorded process by the calls that made it: the recording has their call stacks.
//!
//! Functions of the C library are those of glibc 2.36 (malloc/malloc.c, malloc/arena.c,
//! nptl/allocatestack.c) and of musl 1.2; those that are not exported are there where the library
//! has its symbols.

use super::{Confidence, FunctionFacts, Label, Labeller, OriginFacts, is_private_memory, words};
use vmatlas_maps::{AddressRange, Kind, Mapping};

/// Files of the C library and of the dynamic linker begin so.
const C_LIBRARY: [&str; 7] =
    ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "ld64.so", "ld.so"];
/// The functions of malloc that a program calls.
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
/// The functions of glibc that make an arena for a thread or a further heap of one.
const ARENA: [&str; 4] = ["new_heap", "alloc_new_heap", "int_new_arena", "arena_get2"];
/// Functions between malloc or pthread_create and the call, which a program without shared libraries
/// has in itself.
const INTERNAL: [&str; 9] = [
    "mmap",
    "mmap64",
    "syscall",
    "sysmalloc",
    "sysmalloc_mmap",
    "int_malloc",
    "int_memalign",
    "allocate_stack",
    "tcache_init",
];
/// glibc's dynamic linker, which has a malloc of its own until the C library is there.
const LINKER: [&str; 3] = ["ld-linux", "ld64.so", "ld.so"];
/// A heap of an arena begins at a multiple of this (`HEAP_MAX_SIZE`).
const HEAP: u64 = 64 << 20;

/// What a call stack says of the memory that the call made.
enum Purpose<'o> {
    /// A stack, and who wanted the thread.
    Stack(Option<&'o FunctionFacts>),
    /// What the dynamic linker allocated.
    Linker,
    /// A heap of an arena of malloc.
    Arena,
    /// A block of malloc with a mapping of its own, and who wanted it.
    Block(Option<&'o FunctionFacts>),
    /// Memory that a function mapped for itself.
    Own(&'o FunctionFacts),
}

/// Labels stacks that the C library made for threads, and what malloc mapped: certain.
pub(super) fn recognise_stacks_and_malloc(labeller: &mut Labeller<'_>) {
    for origin in &labeller.facts.origins {
        match purpose(origin) {
            Some(Purpose::Stack(wanted)) => {
                let text = by("stack of a thread", wanted);
                label(labeller, origin, "thread stack", &text, "pthread_create called mmap");
            }
            Some(Purpose::Linker) => {
                let text = "memory of the dynamic linker";
                label(labeller, origin, "loader", text, "the dynamic linker mapped it");
            }
            Some(Purpose::Arena) => {
                let text = "glibc malloc: arena of a thread";
                label(labeller, origin, "glibc arena", text, "malloc mapped it for an arena");
            }
            Some(Purpose::Block(wanted)) => {
                let size = words::size(origin.range.size());
                let text = by(&format!("block of malloc in a mapping of {size}"), wanted);
                label(labeller, origin, "large malloc block", &text, "malloc called mmap");
            }
            Some(Purpose::Own(_)) | None => {}
        }
    }
}

/// Labels what a function mapped for itself. The memory of allocators and runtimes is better known
/// by their own recognisers.
pub(super) fn recognise_own(labeller: &mut Labeller<'_>) {
    for origin in &labeller.facts.origins {
        let Some(Purpose::Own(function)) = purpose(origin) else { continue };
        if !is_runtime(labeller, function) {
            let file = words::file_name(function.file.as_bytes());
            let text = format!("mapped by {} of {file}", function.name);
            let because = "it called mmap, and not through malloc";
            label(labeller, origin, "mapped by the program", &text, because);
        }
    }
}

/// `WHAT, for FUNCTION of FILE`.
fn by(what: &str, wanted: Option<&FunctionFacts>) -> String {
    match wanted.filter(|function| !function.name.is_empty()) {
        Some(function) => {
            let file = words::file_name(function.file.as_bytes());
            format!("{what}, for {} of {file}", function.name)
        }
        None => what.to_owned(),
    }
}

fn label(
    labeller: &mut Labeller<'_>,
    origin: &OriginFacts,
    group: &'static str,
    text: &str,
    why: &str,
) {
    let because = format!("event {} of the recording: {why}", origin.event);
    let certain = Label::new(group, Confidence::Certain, text, because.as_str());
    let guard = Label::new(
        "guard",
        Confidence::Certain,
        format!("guard: {text}"),
        format!("{because}, and nothing may be done here"),
    );
    let reserve =
        Label::new("glibc arena reserve", Confidence::Certain, format!("reserve: {text}"), because);
    for row in labeller.rows_in(origin.range) {
        let part = cut(row.range, origin.range);
        match group {
            _ if !is_unnamed(&row) => {}
            "thread stack" if row.perms.none() => labeller.label(part, &guard),
            "glibc arena" if row.perms.none() => labeller.label(part, &reserve),
            // A program keeps addresses for later by the same call.
            _ => labeller.label(part, &certain),
        }
    }
}

fn cut(range: AddressRange, within: AddressRange) -> AddressRange {
    AddressRange::new(range.start.max(within.start), range.end.min(within.end))
}

/// Private memory without a file and without a name of the kernel's.
fn is_unnamed(row: &Mapping<'_>) -> bool {
    is_private_memory(row) || row.kind() == Kind::Anonymous && !row.perms.shared()
}

/// What the stack of a call says.
fn purpose(origin: &OriginFacts) -> Option<Purpose<'_>> {
    // The break is one memory of many calls, and remapped memory is of the call before.
    if origin.call != "mmap" {
        return None;
    }
    let is_of = |function: &FunctionFacts, names: &[&str]| {
        let file = function.file.rsplit('/').next().unwrap_or_default();
        names.iter().any(|name| file.starts_with(name))
    };
    let is_c = |function: &&FunctionFacts| {
        let name = base(&function.name);
        let names = [&INTERNAL[..], &MALLOC[..], &ARENA[..]];
        is_of(function, &C_LIBRARY)
            || names.iter().any(|names| names.contains(&name))
            || name.starts_with("pthread_create")
    };
    let inside = origin.stack.iter().take_while(is_c).count();
    let (inside, outside) = origin.stack.split_at(inside);
    let calls = |names: &[&str]| inside.iter().any(|f| names.contains(&base(&f.name)));
    let wanted = outside.first();
    if inside.iter().any(|function| base(&function.name).starts_with("pthread_create")) {
        return Some(Purpose::Stack(wanted));
    }
    if origin.stack.first().is_some_and(|function| is_of(function, &LINKER)) {
        return Some(Purpose::Linker);
    }
    if calls(&MALLOC) || calls(&ARENA) {
        let is_arena = calls(&ARENA) || origin.range.start.is_multiple_of(HEAP);
        return Some(if is_arena { Purpose::Arena } else { Purpose::Block(wanted) });
    }
    // Only what called mmap itself, or by its wrapper in the C library.
    let is_wrapper =
        |function: &FunctionFacts| matches!(base(&function.name), "mmap" | "mmap64" | "syscall");
    let own = wanted.filter(|function| !function.name.is_empty())?;
    inside.iter().all(is_wrapper).then_some(Purpose::Own(own))
}

/// The name without the version of the symbol, and without what the C library puts before names for
/// its own use: `__GI___libc_malloc` is `malloc`.
fn base(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    let name = name.strip_prefix("__GI_").unwrap_or(name).trim_start_matches('_');
    name.strip_prefix("libc_").unwrap_or(name)
}

/// Whether a function is of a file that is an allocator or a runtime, or has one in it.
fn is_runtime(labeller: &Labeller<'_>, function: &FunctionFacts) -> bool {
    const FILES: [&str; 10] = [
        "libjemalloc",
        "libmimalloc",
        "libtcmalloc",
        "libjvm",
        "libcoreclr",
        "libruby",
        "libpython",
        "libnode",
        "libopenblas",
        "libgc.so",
    ];
    let name = words::file_name(function.file.as_bytes());
    let images = &labeller.facts.images;
    let image = images.iter().find(|image| image.name == function.file.as_bytes());
    // Of the program itself its own functions count, whatever else is linked into it.
    FILES.iter().any(|file| name.starts_with(file))
        || image.is_some_and(|image| {
            let runtime = |symbol: &&str| *symbol != "rust_eh_personality";
            image.symbols.iter().map(|(symbol, _)| symbol).any(runtime)
        })
}
