//! Tests against the running kernel, on children built for them.

/// A value with some fields set; `#[non_exhaustive]` structs reject `..` outside of their crate.
macro_rules! with {
    ($base:expr, $($field:ident = $value:expr),* $(,)?) => {{
        let mut value = $base;
        $(value.$field = $value;)*
        value
    }};
}

mod access;
mod child;
#[path = "../../../../testdata/copy_program.rs"]
mod copy_program;
mod core;
mod elf;
#[cfg(target_arch = "x86_64")]
mod exec;
mod files;
mod freeze;
mod labels;
mod live;
mod query;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod record;
#[cfg(target_pointer_width = "64")]
mod scenario;
mod symbols;
