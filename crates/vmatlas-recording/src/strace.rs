//! Replays logs of strace(1) to get the address space of each process.
//!
//! ```
//! # #[cfg(feature = "replay")] {
//! use vmatlas_space::KernelProfile;
//! use vmatlas_recording::strace::Replay;
//! let log = b"execve(\"/bin/x\", [\"x\"], 0x7ffe /* 9 vars */) = 0
//! mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
//! mprotect(0x7f0000001000, 4096, PROT_READ) = 0
//! ";
//! let mut nothing = ();
//! let mut replay = Replay::new(KernelProfile::of("6.18".parse()?), &mut nothing);
//! replay.push(log);
//! let log = replay.finish();
//! let process = &log.processes[0];
//! let rows = process.space.memory.maps();
//! assert_eq!(rows.get(1).unwrap().perms.to_string(), "r--p");
//! let made = process.space.origins.get(0x7f0000000000).unwrap();
//! assert_eq!((made.event.get(), made.maker.name()), (2, "mmap"), "by its second line");
//! assert!(!process.missing.is_empty(), "the log does not say where the stack is");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Line`] is a line, [`Reader`] joins calls split over two lines, [`Replay`] applies them.
//! - [`Lookup`] is the second source, for the contents of files, which no log shows.
//! - Each address space has the origins of its bytes, as in a [recording](crate): an event is a
//!   line of the log, and [`Makers`] has the threads and, with `-k`, the call stacks.
//! - [`MissingFact`] lists facts that neither source provides; they are reported, not guessed.
//!
//! Supports `strace -f -e trace=%memory,%process,%file,%desc,ipc`, with or without `-k`, `-t`,
//! `-tt`, `-ttt`, `-r`, `-T`, `-i`, `-n`, `-v`, `-y`, `-yy` and `-Y`. With `-y` no symbolic link
//! needs to be resolved; with `-v` the log contains the device and inode of libraries. To get the
//! names of anonymous memory, also trace `prctl`.

mod cursor;
mod line;
mod parse;
mod reader;
mod value;

#[cfg(feature = "replay")]
mod calls;
#[cfg(feature = "replay")]
mod descriptors;
#[cfg(feature = "replay")]
mod file_calls;
#[cfg(feature = "replay")]
mod files;
#[cfg(feature = "replay")]
mod image;
#[cfg(feature = "replay")]
mod lifetime;
#[cfg(feature = "replay")]
mod makers;
#[cfg(feature = "replay")]
mod memory;
#[cfg(feature = "replay")]
mod merge;
#[cfg(feature = "replay")]
mod missing;
#[cfg(feature = "replay")]
mod observed;
#[cfg(feature = "replay")]
mod replay;
#[cfg(feature = "replay")]
mod task;
#[cfg(feature = "replay")]
mod typed;

pub use line::{Begun, Call, Event, Frame, Line, LineError, LineErrorKind, Outcome, Stamp};
pub use reader::{Entry, Reader, looks_like_log};
pub use value::{Descriptor, Value};

#[cfg(feature = "replay")]
pub use image::{ElfFacts, FileFacts, KernelMapping, Lookup, Program};
#[cfg(feature = "replay")]
pub use makers::Makers;
#[cfg(feature = "replay")]
pub use missing::MissingFact;
#[cfg(feature = "replay")]
pub use replay::{Ended, Process, Replay, Replayed};
