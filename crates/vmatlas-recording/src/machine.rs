//! Snapshots of a machine: all processes with their rows, labels and sizes, each snapshot as what
//! changed since the one before it.
//!
//! docs/snapshots.md specifies the bytes; the constants here are that document's.
//!
//! ```
//! # #[cfg(feature = "write")] {
//! use vmatlas_maps::{AddressRange, Identity, Mapping, Maps, Perms};
//! use vmatlas_recording::machine::{Header, Limits, NewProcess, NewSnapshot, Snapshot};
//!
//! let mut maps = Maps::default();
//! let (range, perms) = (AddressRange::new(0x1000, 0x3000), Perms(*b"rw-p"));
//! let name = b"[heap]".as_slice();
//! maps.push(&Mapping { range, perms, offset: 0, device: Default::default(), inode: 0, name });
//! let identity = Identity { pid: Some(7), comm: b"sh".to_vec(), ..Identity::default() };
//! let mut new = NewSnapshot::new(Header::default(), None);
//! new.add(NewProcess { identity, maps: &maps, ..NewProcess::default() });
//! let first = new.encode();
//!
//! let snapshot = Snapshot::read(&first, None, Limits::default())?;
//! assert_eq!(snapshot.processes[0].identity.pid, Some(7));
//! assert_eq!(snapshot.maps(0).get(0).map(|row| row.range), Some(range));
//! # }
//! # Ok::<(), vmatlas_recording::machine::SnapshotError>(())
//! ```

mod fields;
mod header;
mod process;
mod read;
mod rows;
mod snapshot;
mod tables;
#[cfg(feature = "write")]
mod write;

pub use header::{Base, Header, looks_like_snapshot};
pub use process::{NUMBERS, SavedProcess, State};
pub use read::{Limits, SnapshotError};
pub use rows::SavedRow;
pub use snapshot::Snapshot;
pub use tables::{Confidence, LabelPart};
#[cfg(feature = "write")]
pub use write::{MAX_CHAIN, NewLabel, NewProcess, NewSnapshot};
