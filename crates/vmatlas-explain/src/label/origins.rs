//! Labels memory of a recorded process by the call stacks of the calls that mapped it.
//!
//! Functions of the C library that are not exported are known only if the library has symbols.

use super::{
    Confidence, FunctionFacts, Label, Labeller, OriginFacts, is_private_memory, musl, words,
};
use crate::frames::{self, ARENA, base};
use vmatlas_maps::{AddressRange, Kind, Mapping};

/// The size and alignment of a heap of an arena (`HEAP_MAX_SIZE`), in bytes.
const HEAP: u64 = 64 << 20;
/// musl's malloc maps blocks of this size and more alone (`MMAP_THRESHOLD`).
const MUSL_SINGLE: u64 = 128 << 10;

/// Symbols of the C library and of a language, which a static program contains itself.
const NO_RUNTIME: [&str; 5] = [
    "rust_eh_personality",
    "gnu_get_libc_version",
    "__libc_mallopt",
    "_rtld_global",
    "__libc_stack_end",
];

/// The purpose of memory, from the stack of the call that mapped it.
enum Purpose<'o> {
    /// A stack, and the function that created the thread.
    Stack(Option<&'o FunctionFacts>),
    /// Memory of the dynamic linker.
    Linker,
    /// A heap of a malloc arena.
    Arena,
    /// The main heap of malloc, where the program break cannot grow.
    MainHeap,
    /// A malloc block with its own mapping, and the function that allocated it.
    Block(Option<&'o FunctionFacts>),
    /// Memory that this function mapped itself.
    Own(&'o FunctionFacts),
    /// Memory that a function without a known name in this file mapped itself.
    Unnamed(&'o FunctionFacts),
}

/// Labels thread stacks of the C library and mappings of malloc, as certain.
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
            Some(Purpose::MainHeap) => {
                let text = "glibc malloc: main heap, beside the program break";
                let because = "malloc mapped it because the program break cannot grow";
                label(labeller, origin, "glibc main heap", text, because);
            }
            Some(Purpose::Block(_))
                if origin.range.size() < MUSL_SINGLE && musl::is_used(labeller) =>
            {
                let text = "musl malloc: groups of blocks";
                label(labeller, origin, "musl malloc", text, "malloc called mmap");
            }
            Some(Purpose::Block(wanted)) => {
                let size = words::size(origin.range.size());
                let text = by(&format!("block of malloc in a mapping of {size}"), wanted);
                label(labeller, origin, "large malloc block", &text, "malloc called mmap");
            }
            Some(Purpose::Own(_) | Purpose::Unnamed(_)) | None => {}
        }
    }
}

/// Labels memory that a function mapped itself. Allocators and runtimes have their own, better
/// recognisers.
pub(super) fn recognise_own(labeller: &mut Labeller<'_>) {
    for origin in &labeller.facts.origins {
        let (function, confidence, because) = match purpose(origin) {
            Some(Purpose::Own(function)) => {
                (function, Confidence::Certain, "it called mmap, and not through malloc")
            }
            // The name may be unknown because another allocator is linked in.
            Some(Purpose::Unnamed(function)) => {
                (function, Confidence::Likely, "it called mmap, and not through the C library")
            }
            _ => continue,
        };
        if !is_runtime(labeller, function) {
            let file = words::file_name(function.file.as_bytes());
            let text = match function.name.as_str() {
                "" => format!("mapped by {file}"),
                name => format!("mapped by {name} of {file}"),
            };
            label_as(labeller, origin, ("mapped by the program", confidence), &text, because);
        }
    }
}

/// Formats `WHAT, for FUNCTION of FILE`.
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
    label_as(labeller, origin, (group, Confidence::Certain), text, why);
}

fn label_as(
    labeller: &mut Labeller<'_>,
    origin: &OriginFacts,
    (group, confidence): (&'static str, Confidence),
    text: &str,
    why: &str,
) {
    let because = format!("event {} of the recording: {why}", origin.event);
    let whole = Label::new(group, confidence, text, because.as_str());
    let guard = Label::new(
        "guard",
        confidence,
        format!("guard: {text}"),
        format!("{because}, and no access to it is permitted"),
    );
    let reserve =
        Label::new("glibc arena reserve", confidence, format!("reserve: {text}"), because);
    for row in labeller.rows_in(origin.range) {
        let part = cut(row.range, origin.range);
        match group {
            _ if !is_unnamed(&row) => {}
            "thread stack" if row.perms.none() => labeller.label(part, &guard),
            "glibc arena" if row.perms.none() => labeller.label(part, &reserve),
            // A program reserves addresses with the same call.
            _ => labeller.label(part, &whole),
        }
    }
}

fn cut(range: AddressRange, within: AddressRange) -> AddressRange {
    AddressRange::new(range.start.max(within.start), range.end.min(within.end))
}

/// Whether a row is private memory without a file or a kernel name.
fn is_unnamed(row: &Mapping<'_>) -> bool {
    is_private_memory(row) || row.kind() == Kind::Anonymous && !row.perms.shared()
}

/// The purpose from the call stack.
fn purpose(origin: &OriginFacts) -> Option<Purpose<'_>> {
    // The break belongs to many calls, and remapped memory to the original call.
    if origin.call != "mmap" {
        return None;
    }
    let is_c = |function: &&FunctionFacts| {
        let name = &function.name;
        frames::is_c_library(&function.file)
            || frames::is_malloc_or_call(name)
            || frames::is_pthread_create(name)
    };
    let inside = origin.stack.iter().take_while(is_c).count();
    let (inside, outside) = origin.stack.split_at(inside);
    let calls = |names: &[&str]| inside.iter().any(|f| names.contains(&base(&f.name)));
    let wanted = outside.first();
    if origin.stack.first().is_some_and(|function| frames::is_linker(&function.file)) {
        return Some(Purpose::Linker);
    }
    // Each may call the other: pthread_create allocates, and an allocator creates threads.
    let creates = |function: &FunctionFacts| base(&function.name).starts_with("pthread_create");
    let allocates = |function: &FunctionFacts| frames::is_malloc(&function.name);
    let innermost = inside.iter().find(|function| creates(function) || allocates(function));
    if innermost.is_some_and(creates) {
        return Some(Purpose::Stack(wanted));
    }
    if innermost.is_some() {
        let size = origin.range.size();
        let is_heap = origin.range.start.is_multiple_of(HEAP) && (size == HEAP || size == 2 * HEAP);
        return Some(match () {
            () if calls(&ARENA) || is_heap => Purpose::Arena,
            () if calls(&["sysmalloc_mmap_fallback"]) => Purpose::MainHeap,
            () => Purpose::Block(wanted),
        });
    }
    // Only the function that called mmap itself or through the C library's wrapper.
    let is_wrapper =
        |function: &FunctionFacts| matches!(base(&function.name), "mmap" | "mmap64" | "syscall");
    let own = wanted.filter(|_| inside.iter().all(is_wrapper))?;
    match own.name.as_str() {
        // In a static program it may be the C library's.
        "" => (!inside.is_empty() && !own.file.is_empty()).then_some(Purpose::Unnamed(own)),
        _ => Some(Purpose::Own(own)),
    }
}

/// Whether a function belongs to a file that is or contains an allocator or a runtime.
fn is_runtime(labeller: &Labeller<'_>, function: &FunctionFacts) -> bool {
    const FILES: [&str; 10] = [
        frames::JEMALLOC,
        frames::MIMALLOC,
        frames::TCMALLOC,
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
    // In the program itself, only the functions count, because other code may be linked into it.
    FILES.iter().any(|file| name.starts_with(file))
        || image.is_some_and(|image| {
            let runtime = |symbol: &&str| !NO_RUNTIME.contains(symbol);
            image.symbols.iter().map(|(symbol, _)| symbol).any(runtime)
        })
}
