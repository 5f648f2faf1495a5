//! The library as its users use it.
mod atlas;
mod examples;
mod program;
