//! The measured programs, one module each.

pub mod proc_maps;
pub mod procfs;
pub mod ranges;
pub mod rsprocmaps;
pub mod vmatlas;
