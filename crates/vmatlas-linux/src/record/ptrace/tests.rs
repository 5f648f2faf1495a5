//! Recordings of real programs.

mod collect;
mod follows;
mod jobs;
mod launches;
mod orders;
