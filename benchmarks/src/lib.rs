//! vmatlas against its peers. README.md beside this crate says what is measured, how to run it and
//! how it is biased.

pub mod answer;
pub mod machine;
pub mod measure;
pub mod peers;
pub mod report;
pub mod suite;
pub mod target;
pub mod text;
