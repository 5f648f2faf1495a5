//! Sums over many processes: the machine, a control group, processes of a name.
//!
//! ```
//! use vmatlas::{Census, GroupBy, SurveyOptions};
//! let census = Census::of_machine("/proc")?;
//! println!("{:?} for the page tables", census.estimate(&SurveyOptions::default()));
//! let survey = census.survey(SurveyOptions::default())?;
//! for group in &survey.groups {
//!     println!("{:>12} {}", group.sizes.pss.unwrap_or(0), String::from_utf8_lossy(&group.key));
//! }
//! # let _ = GroupBy::Program;
//! # Ok::<(), vmatlas::Error>(())
//! ```

mod census;
mod closing;
mod cost;
mod group;
mod growth;
mod layout;
mod measure;
mod options;
mod rows;
#[cfg(feature = "record")]
mod save;
#[cfg(feature = "recordings")]
mod saved;

pub use census::{Census, Counts, Refused};
pub use closing::{Closing, GroupClosing};
pub use group::{GroupBy, SurveyGroup};
pub use growth::GroupGrowth;
pub use measure::{Partial, Survey};
pub use options::{Depth, SurveyOptions};
#[cfg(feature = "record")]
pub use save::Saved;
