//! The causes of crashes, from core dumps, recordings and crash logs.

mod address;
mod case;
mod dump;
mod frames;
mod handlers;
mod input;
mod log;
mod place;
#[cfg(feature = "recordings")]
mod recorded;

pub use case::Case;
pub use input::CrashInput;
