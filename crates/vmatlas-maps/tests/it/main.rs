//! Tests of rows on static data.
mod captures;
mod corner_cases;
mod filter;
mod laws;
mod listings;
mod serde;
mod wrapped;
