//! vmatlas against its peers. See README.md beside this crate for what is measured and how it is
//! biased.

pub mod answer;
pub mod peers;
pub mod text;
