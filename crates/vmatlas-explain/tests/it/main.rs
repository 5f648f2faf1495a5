//! Tests of labels, core dumps, crash logs and explanations, from data.

/// A value with some fields set; `#[non_exhaustive]` structs reject `..` outside of their crate.
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
mod reports;
mod signals;
