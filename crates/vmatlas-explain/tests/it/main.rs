//! Labels, cores, crash logs and explanations, from data.

/// A value with some of its fields set: structs that may grow take no `..` from outside.
macro_rules! with {
    ($base:expr, $($field:ident = $value:expr),* $(,)?) => {{
        let mut value = $base;
        $(value.$field = $value;)*
        value
    }};
}

mod coredump;
mod crash;
mod explain;
mod label;
