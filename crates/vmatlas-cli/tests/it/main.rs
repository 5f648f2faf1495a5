//! Tests of the command as its users run it.
mod all;
mod audit;
mod blame;
mod completions;
#[path = "../../../../testdata/copy_program.rs"]
mod copy_program;
mod core;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod created_files;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod effects;
mod explain;

mod csv;
mod documents;
mod format;
mod growth;
mod hostile;
mod labels;
mod live;
mod locations;
mod made_recordings;
mod metrics;
mod options;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod record;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod replayed;
mod saved;
mod schema;
mod screen;
mod shared;
mod strace;
mod terminal;
mod text;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod unfinished;
mod verify;
mod vmatlas;
