//! Tests of the pure library: data in, values out.
mod captures;
mod coredump;
mod corner_cases;
mod crash;
mod explain;
mod filter;
mod label;
mod laws;
mod limits;
mod listings;
mod model;
mod recording;
mod scenario;
mod space;
mod strace;
