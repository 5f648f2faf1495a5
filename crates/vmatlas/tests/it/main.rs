//! Tests of the pure library: data in, values out.
mod captures;
mod corner_cases;
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
