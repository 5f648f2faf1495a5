//! The metadata of a recording.

use vmatlas_maps::KernelVersion;
use vmatlas_space::bytes::{Put, Take};
use vmatlas_space::{KernelProfile, Vsyscall};

/// The machine and command of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The kernel release (`uname -r`).
    pub kernel: String,
    /// The machine (`uname -m`).
    pub machine: String,
    /// The page size in bytes.
    pub page_size: u64,
    /// How `[vsyscall]` is shown.
    pub vsyscall: Vsyscall,
    /// Whether the processor has protection keys.
    pub pkeys: bool,
    /// The backend of the recorder: `ptrace`, `perf`.
    pub backend: String,
    /// The start of the recording, in nanoseconds since 1970.
    pub began_ns: u64,
    /// The program and its arguments; the process number for an attached process.
    pub command: Vec<Vec<u8>>,
}

impl Meta {
    /// The rules by which recorder and readers replay events. A call that succeeded has passed all
    /// limits, so the profile has none.
    pub fn profile(&self) -> KernelProfile {
        let version = self.kernel.parse().unwrap_or(KernelVersion::new(6, 12, 0));
        let mut profile = KernelProfile::of(version);
        profile.page_shift = self.page_size.max(1).trailing_zeros().clamp(12, 16);
        profile.vsyscall = self.vsyscall;
        profile.pkeys = self.pkeys;
        profile.mmap_min_addr = 0;
        profile.max_map_count = usize::MAX / 2;
        profile.stack_limit = u64::MAX / 2;
        profile
    }

    /// Whether the backend reports signals, and the statuses with which tasks end. Perf events report
    /// neither: the status of the events is then 0.
    pub fn has_statuses(&self) -> bool {
        self.backend != "perf"
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_bytes(self.kernel.as_bytes());
        out.put_bytes(self.machine.as_bytes());
        out.put(self.page_size);
        out.push(match self.vsyscall {
            Vsyscall::None => 0,
            Vsyscall::ExecuteOnly => 1,
            Vsyscall::Emulate => 2,
        });
        out.push(u8::from(self.pkeys));
        out.put_bytes(self.backend.as_bytes());
        out.put(self.began_ns);
        out.put(self.command.len() as u64);
        self.command.iter().for_each(|word| out.put_bytes(word));
        out
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Meta> {
        let mut take = Take(bytes);
        let text = |take: &mut Take<'_>| Some(String::from_utf8_lossy(take.bytes()?).into_owned());
        Some(Meta {
            kernel: text(&mut take)?,
            machine: text(&mut take)?,
            page_size: take.uint()?,
            vsyscall: match take.byte()? {
                0 => Vsyscall::None,
                1 => Vsyscall::ExecuteOnly,
                2 => Vsyscall::Emulate,
                _ => return None,
            },
            pkeys: take.bool()?,
            backend: text(&mut take)?,
            began_ns: take.uint()?,
            command: {
                let count = take.count()?;
                (0..count).map(|_| take.bytes().map(<[u8]>::to_vec)).collect::<Option<_>>()?
            },
        })
    }
}
