//! The library as its users use it.
mod examples;
