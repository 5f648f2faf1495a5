//! Tests against the running kernel, on children built for them.
mod access;
mod child;
mod elf;
mod files;
mod live;
mod query;
