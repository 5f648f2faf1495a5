//! Other code in a process that may map memory itself.
//!
//! A size or an alignment is evidence only if nothing else in the process maps memory of any shape.
//! Many libraries contain an allocator of their own without a symbol that shows it, so only those
//! count as harmless that are known to allocate with malloc alone.

use super::words::file_name;
use super::{Labeller, allocators, cpython, go, jvm, ruby, v8};

/// Libraries, by their names before `.so`, that map no private memory for their own data.
const PLAIN: &[&str] = &[
    "libanl",
    "libatomic",
    "libaudit",
    "libbz2",
    "libc",
    "libcap",
    "libcom_err",
    "libcrypt",
    "libcrypto",
    "libdb-5.3",
    "libdl",
    "libexpat",
    "libffi",
    "libgcc_s",
    "libgdbm",
    "libgdbm_compat",
    "libgmp",
    "libgssapi_krb5",
    "libk5crypto",
    "libkeyutils",
    "libkrb5",
    "libkrb5support",
    "liblz4",
    "liblzma",
    "libm",
    "libmpdec",
    "libmvec",
    "libncurses",
    "libncursesw",
    "libnsl",
    "libpanel",
    "libpanelw",
    "libpthread",
    "libreadline",
    "libresolv",
    "librt",
    "libselinux",
    "libsqlite3",
    "libssl",
    "libstdc++",
    "libthread_db",
    "libtinfo",
    "libtirpc",
    "libutil",
    "libuuid",
    "libyaml-0",
    "libz",
    "libzstd",
];

/// Prefixes of the names of other such libraries: the dynamic linker, and glibc before 2.34.
const PLAIN_PREFIXES: &[&str] = &[
    "ld-",
    "ld.so",
    "ld64.so",
    "libc-2.",
    "libdl-2.",
    "libm-2.",
    "libnss_",
    "libpthread-2.",
    "librt-2.",
    "libutil-2.",
];

/// The name of a file with code that is neither `own` nor a library that is known to map no memory
/// itself.
pub(super) fn unknown_code(
    labeller: &Labeller<'_>,
    own: impl Fn(&[u8], &str) -> bool,
) -> Option<String> {
    let is_plain = |name: &str| {
        let stem = name.split(".so").next().unwrap_or(name);
        PLAIN.contains(&stem) || PLAIN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let names = labeller.files.iter().map(|path| (*path, file_name(path)));
    names.filter(|(path, name)| !is_plain(name) && !own(path, name)).map(|(_, name)| name).next()
}

/// The runtimes and allocators that the process contains, as far as they are recognised.
pub(super) fn known(labeller: &Labeller<'_>) -> Vec<&'static str> {
    let checks: [(&'static str, bool); 7] = [
        ("CPython", cpython::is_here(labeller)),
        ("Ruby", ruby::is_here(labeller)),
        ("V8", v8::is_here(labeller)),
        ("Go", go::is_here(labeller)),
        ("HotSpot", jvm::is_here(labeller)),
        (".NET", labeller.files.iter().any(|path| file_name(path).starts_with("libcoreclr"))),
        ("OpenBLAS", labeller.files.iter().any(|path| file_name(path).contains("openblas"))),
    ];
    let runtimes = checks.into_iter().filter(|(_, is_here)| *is_here).map(|(name, _)| name);
    runtimes.chain(allocators::known(labeller)).collect()
}

/// The name of a runtime or an allocator that the process contains besides `own`.
pub(super) fn other_than(labeller: &Labeller<'_>, own: &str) -> Option<&'static str> {
    known(labeller).into_iter().find(|name| *name != own)
}
