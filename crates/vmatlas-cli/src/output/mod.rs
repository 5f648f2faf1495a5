//! The output layer: the only place that knows how things look.

pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod pager;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod words;
