//! Recordings of real programs.

mod collect;
mod follows;
mod launches;
mod orders;
mod speed;
