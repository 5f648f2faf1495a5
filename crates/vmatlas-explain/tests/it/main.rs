//! Labels, cores, crash logs and explanations, from data.
mod coredump;
mod crash;
mod explain;
mod label;
