//! The messages with which glibc's allocator ends a program.
//!
//! # References
//!
//! The calls of `malloc_printerr` in glibc 2.5 to 2.41, malloc/malloc.c and malloc/arena.c.

/// Each message, in the notation of rules: `^` is the start of a line, `$` its end or an address.
/// Programs print their own words behind the names of these functions, as perror(3) does.
pub(crate) const MALLOC_MESSAGES: [&str; 47] = [
    "^free(): invalid pointer$",
    "^free(): invalid size$",
    "^free(): invalid next size (fast)$",
    "^free(): invalid next size (normal)$",
    "^free(): corrupted unsorted chunks$",
    "^free(): too many chunks detected in tcache$",
    "^free(): unaligned chunk detected in tcache 2$",
    "^free(): double free detected in tcache 2$",
    "^malloc(): memory corruption$",
    "^malloc(): memory corruption (fast)$",
    "^malloc(): corrupted top size$",
    "^malloc(): corrupted unsorted chunks$",
    "^malloc(): corrupted unsorted chunks 2$",
    "^malloc(): corrupted unsorted chunks 3$",
    "^malloc(): smallbin double linked list corrupted$",
    "^malloc(): unsorted double linked list corrupted$",
    "^malloc(): largebin double linked list corrupted (nextsize)$",
    "^malloc(): largebin double linked list corrupted (bk)$",
    "^malloc(): invalid size (unsorted)$",
    "^malloc(): invalid next size (unsorted)$",
    "^malloc(): mismatching next->prev_size (unsorted)$",
    "^malloc(): invalid next->prev_inuse (unsorted)$",
    "^malloc(): unaligned tcache chunk detected$",
    "^malloc(): unaligned fastbin chunk detected$",
    "^malloc(): unaligned fastbin chunk detected 2$",
    "^malloc(): unaligned fastbin chunk detected 3$",
    "^realloc(): invalid pointer$",
    "^realloc(): invalid old size$",
    "^realloc(): invalid next size$",
    "^munmap_chunk(): invalid pointer$",
    "^mremap_chunk(): invalid pointer$",
    "^malloc_consolidate(): invalid chunk size$",
    "^malloc_consolidate(): unaligned fastbin chunk detected$",
    "^tcache_thread_shutdown(): unaligned tcache chunk detected$",
    "^malloc_check_get_size: memory corruption$",
    "^malloc: top chunk is corrupt$",
    "^break adjusted to free malloc space$",
    "^double free or corruption (fasttop)$",
    "^double free or corruption (top)$",
    "^double free or corruption (out)$",
    "^double free or corruption (!prev)$",
    "^corrupted size vs. prev_size$",
    "^corrupted size vs. prev_size in fastbins$",
    "^corrupted size vs. prev_size while consolidating$",
    "^corrupted double-linked list$",
    "^corrupted double-linked list (not small)$",
    "^invalid fastbin entry (free)$",
];

/// Whether a line is a message of glibc's allocator.
pub(super) fn is_of_malloc(line: &[u8]) -> bool {
    MALLOC_MESSAGES.iter().any(|message| {
        let message = message.trim_start_matches('^').trim_end_matches('$');
        line.strip_prefix(message.as_bytes()).is_some_and(ends_message)
    })
}

/// Whether a message ends before this text: before glibc 2.26, the address of the block follows.
pub(crate) fn ends_message(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(b": 0x") || rest == b" ***"
}
