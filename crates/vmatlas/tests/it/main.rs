//! Tests of the public interface of the library.
mod atlas;
mod examples;
mod fold;
mod program;
mod saved_day;
mod watch;
