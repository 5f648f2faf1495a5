//! Findings about processes, by the [rules](RULES) of an audit.
//!
//! ```
//! use vmatlas::audit::{AuditOptions, Severity};
//! use vmatlas::Census;
//! let census = Census::of_targets(&["self".to_owned()], "/proc")?;
//! let audit = census.audit(&AuditOptions::default());
//! assert!(audit.findings.iter().all(|found| found.finding.severity < Severity::Critical));
//! # Ok::<(), vmatlas::Error>(())
//! ```

mod fingerprint;
mod found;
mod learn;
mod many;
mod one;
mod policy;
mod policy_date;
mod process;
#[cfg(feature = "recordings")]
mod recorded;

pub use found::{Audit, AuditOptions, Found};
pub use learn::learned_policy;
pub use policy::{Exception, Policy};
pub use policy_date::Date;
pub use process::AuditedProcess;
pub use vmatlas_explain::audit::{Finding, Group, RULES, Rule, Severity, rule};
