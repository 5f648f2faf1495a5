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
                "inaccessible addresses without a name (reserved or a guard)".to_owned()
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
