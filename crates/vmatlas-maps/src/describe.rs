//! Describes a mapping in words.

use crate::escape::printable;
use crate::kind::Kind;
use crate::mapping::Mapping;

impl Mapping<'_> {
    /// Describes the mapping as part of a sentence: `code of /usr/bin/cat`, `the heap`, `memory
    /// without a name`. Names are escaped.
    ///
    /// ```
    /// let row = vmatlas_maps::parse_row(b"7f00-8f00 r-xp 0 fe:00 42    /usr/bin/cat")?;
    /// assert_eq!(row.describe(), "code of /usr/bin/cat");
    /// # Ok::<(), vmatlas_maps::RowError>(())
    /// ```
    pub fn describe(&self) -> String {
        let quoted = |name| format!("{:?}", printable(name).to_string());
        match self.kind() {
            Kind::File | Kind::Device => {
                format!("{} {}", self.perms.part_of_file(), printable(self.name))
            }
            Kind::Anonymous if self.perms.none() => {
                "inaccessible addresses without a name (often reserved, or a guard)".to_owned()
            }
            Kind::Anonymous => "memory without a name".to_owned(),
            Kind::Heap => "the heap".to_owned(),
            Kind::Stack => "the stack of the first thread".to_owned(),
            Kind::ThreadStack { tid } => format!("the stack of thread {tid}"),
            Kind::NamedAnonymous { name } => format!("memory named {}", quoted(name)),
            Kind::NamedSharedAnonymous { name } => format!("shared memory named {}", quoted(name)),
            Kind::SharedAnonymous => "shared memory without a name".to_owned(),
            Kind::Memfd { name } => format!("memfd {}", quoted(name)),
            Kind::SysvShm { key, id } => format!("System V shared memory, key {key:#x}, id {id}"),
            Kind::HugeAnonymous => "huge pages without a name".to_owned(),
            Kind::Vdso => "the kernel's code for user space, [vdso]".to_owned(),
            Kind::Vvar => "the kernel's data for [vdso]".to_owned(),
            Kind::Vsyscall => "the legacy gate page [vsyscall]".to_owned(),
            Kind::Secretmem => "secret memory (memfd_secret)".to_owned(),
            Kind::Aio => "a ring of asynchronous input and output".to_owned(),
            kind => format!("{} {}", kind.word(), printable(self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::parse_row;

    /// The words for names of the kernel, and for memory without a name.
    #[test]
    fn names_of_the_kernel_are_described() {
        for (row, expected) in [
            ("rw-p 0 00:00 0", "memory without a name"),
            (
                "---p 0 00:00 0",
                "inaccessible addresses without a name (often reserved, or a guard)",
            ),
            ("rw-p 0 00:00 0   [heap]", "the heap"),
            ("rw-p 0 00:00 0   [stack]", "the stack of the first thread"),
            ("rw-p 0 00:00 0   [stack:12]", "the stack of thread 12"),
            ("rw-p 0 00:00 0   [anon:pool]", "memory named \"pool\""),
            ("rw-s 0 00:01 5   [anon_shmem:pool]", "shared memory named \"pool\""),
            ("rw-s 0 00:05 5   /dev/ashmem/pool (deleted)", "shared memory named \"pool\""),
            ("rw-s 0 00:01 5   /dev/zero (deleted)", "shared memory without a name"),
            ("rw-s 0 00:01 5   /memfd:pool (deleted)", "memfd \"pool\""),
            ("rw-s 0 00:01 5   /SYSV0000002a (deleted)", "System V shared memory, key 0x2a, id 5"),
            ("rw-s 0 00:0f 5   /anon_hugepage (deleted)", "huge pages without a name"),
            ("r-xp 0 00:00 0   [vdso]", "the kernel's code for user space, [vdso]"),
            ("r--p 0 00:00 0   [vvar]", "the kernel's data for [vdso]"),
            ("r--p 0 00:00 0   [vvar_vclock]", "the kernel's data for [vdso]"),
            ("--xp 0 00:00 0   [vsyscall]", "the legacy gate page [vsyscall]"),
            ("rw-s 0 00:0d 5   /secretmem (deleted)", "secret memory (memfd_secret)"),
            ("rw-s 0 00:0c 5   /[aio] (deleted)", "a ring of asynchronous input and output"),
            ("rw-s 0 00:09 5   anon_inode:[perf_event]", "anon-inode anon_inode:[perf_event]"),
            ("rw-s 0 00:08 5   socket:[81]", "socket socket:[81]"),
            ("r-xp 0 00:00 0   [uprobes]", "special [uprobes]"),
            ("rw-s 0 00:06 5   /dev/dri/card0", "writable data of /dev/dri/card0"),
        ] {
            let row = format!("7f00-8f00 {row}");
            assert_eq!(parse_row(row.as_bytes()).unwrap().describe(), expected, "{row}");
        }
    }
}
