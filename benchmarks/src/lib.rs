//! Measures vmatlas against its peers. README.md beside this crate describes the measures, the way
//! to run them, and their bias.

pub mod answer;
pub mod invocation;
pub mod machine;
pub mod measure;
pub mod peers;
pub mod report;
pub mod suite;
pub mod target;
pub mod text;
