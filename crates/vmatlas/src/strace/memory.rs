//! The calls that change an address space.

use super::line::{Call, Outcome};
use super::mmap::{GROWSDOWN, MmapCall, prot_bits};
use super::task::Space;
use super::told::Untold;
use super::value::Value;
use crate::errno::Errno;
use crate::space::{AddressSpace, Advice, File, Mremap, Policy, Prot};

/// What a call does to an address space.
type Change = Box<dyn Fn(&mut AddressSpace) -> Result<(), Errno>>;

impl Space {
    /// Notes that the model does not agree with a call that succeeded.
    fn check<T>(&mut self, line: u64, call: &Call<'_>, result: Result<T, Errno>) {
        if let Err(errno) = result {
            self.gaps.push(Untold::Refused { line, call: call.name.to_owned(), errno });
        }
    }

    /// mmap that succeeded; `file` is the one behind its descriptor.
    pub(crate) fn map(&mut self, line: u64, call: &Call<'_>, mmap: &MmapCall, file: Option<File>) {
        let Some(address) = call.value() else { return };
        if self.exec.first_end.is_none() && mmap.is_free() {
            self.exec.first_end = address.checked_add(mmap.extent());
        }
        let result = self.memory.mmap(&mmap.request(address, file));
        self.check(line, call, result);
    }

    /// brk, whatever it returned: that is where the program break is.
    pub(crate) fn brk(&mut self, line: u64, call: &Call<'_>) {
        let Some(result) = call.value() else { return };
        if result > self.memory.profile().task_size {
            return;
        }
        if self.exec.start_brk.is_none() {
            self.exec.start_brk = Some(result);
            self.memory.set_heap(result, result);
        } else if result != self.memory.program_break() {
            let moved = self.memory.brk(result);
            self.check(line, call, moved);
        }
    }

    pub(crate) fn mremap(&mut self, line: u64, call: &Call<'_>) {
        let number = |index| call.arg(index).and_then(Value::number);
        let (Some(address), Some(old_length), Some(new_length), Some(flags), Some(result)) =
            (number(0), number(1), number(2), call.arg(3), call.value())
        else {
            return;
        };
        let fixed = flags.has("MREMAP_FIXED");
        let request = Mremap {
            address,
            old_length,
            new_length,
            maymove: flags.has("MREMAP_MAYMOVE"),
            to: (fixed || result != address).then_some(result),
            dontunmap: flags.has("MREMAP_DONTUNMAP"),
        };
        let sound = self.inside(address, old_length) && self.inside(result, new_length);
        let moved = if sound { self.memory.mremap(&request).map(drop) } else { Err(Errno::EFAULT) };
        self.check(line, call, moved);
    }

    /// shmat that succeeded.
    pub(crate) fn attach(&mut self, line: u64, call: &Call<'_>, segment: &File) {
        let Some(address) = call.value() else { return };
        let flags = call.arg(2).unwrap_or(Value(b"0"));
        let replace = flags.has("SHM_REMAP");
        let attached = self.memory.shmat(segment, address, flags.has("SHM_RDONLY"), replace);
        self.check(line, call, attached);
    }

    /// The calls that take a range. False for other calls.
    pub(crate) fn range_call(&mut self, line: u64, call: &Call<'_>) -> bool {
        let number = |index: usize| call.arg(index).and_then(Value::number);
        let (address, length) = (number(0).unwrap_or(0), number(1).unwrap_or(0));
        let word = |index: usize| call.arg(index).unwrap_or(Value(b""));
        let change: Change = match call.name {
            "munmap" => Box::new(move |space| space.munmap(address, length)),
            "mprotect" => {
                let bits = prot_bits(word(2));
                let prot = Prot::from_bits(bits);
                if bits & GROWSDOWN != 0 {
                    Box::new(move |space| space.mprotect_growsdown(address, length, prot, None))
                } else {
                    Box::new(move |space| space.mprotect(address, length, prot))
                }
            }
            "pkey_mprotect" => {
                let prot = Prot::from_bits(prot_bits(word(2)));
                match number(3).and_then(|key| u8::try_from(key).ok()) {
                    Some(key) => {
                        Box::new(move |space| space.pkey_mprotect(address, length, prot, key))
                    }
                    None => Box::new(move |space| space.mprotect(address, length, prot)),
                }
            }
            "madvise" => {
                let Some(advice) = advice(word(2)) else { return true };
                Box::new(move |space| space.madvise(address, length, advice))
            }
            "mlock" | "mlock2" => {
                let onfault = word(2).has("MLOCK_ONFAULT");
                Box::new(move |space| space.mlock(address, length, onfault))
            }
            "munlock" => Box::new(move |space| space.munlock(address, length)),
            "mlockall" => {
                let flags = word(0);
                let (now, future) = (flags.has("MCL_CURRENT"), flags.has("MCL_FUTURE"));
                let onfault = flags.has("MCL_ONFAULT");
                Box::new(move |space| space.mlockall(now, future, onfault))
            }
            "munlockall" => Box::new(|space| {
                space.munlockall();
                Ok(())
            }),
            "mseal" | "syscall_0x1ce" => Box::new(move |space| space.mseal(address, length)),
            "mbind" => {
                let Some(policy) = policy(word(2), word(3)) else { return true };
                Box::new(move |space| space.mbind(address, length, policy.clone()))
            }
            "remap_file_pages" => {
                let page = number(3).unwrap_or(0);
                Box::new(move |space| space.remap_file_pages(address, length, page))
            }
            "shmdt" => Box::new(move |space| space.shmdt(address)),
            "prctl" => match self.prctl(call) {
                Some(change) => change,
                None => return true,
            },
            _ => return false,
        };
        if !self.inside(address, length) && !matches!(call.name, "prctl" | "mlockall") {
            return true;
        }
        match call.result {
            Outcome::Ok(_) => {
                if call.name == "mprotect" {
                    self.place_images(address, length);
                }
                let changed = change(&mut self.memory);
                self.check(line, call, changed);
            }
            // What lies before the place of an error stays changed.
            Outcome::Failed(Some(errno @ (Errno::ENOMEM | Errno::EACCES | Errno::EPERM))) => {
                let mut tried = self.memory.clone();
                if change(&mut tried) == Err(errno) {
                    self.memory = tried;
                }
            }
            _ => {}
        }
        true
    }

    fn prctl(&mut self, call: &Call<'_>) -> Option<Change> {
        let number = |index: usize| call.arg(index).and_then(Value::number);
        let option = call.arg(0)?;
        if option.has("PR_SET_VMA") {
            let (address, length) = (number(2)?, number(3)?);
            let name = call.arg(4)?;
            let name = if name.number() == Some(0) { None } else { Some(name.string()?.0) };
            return Some(Box::new(move |space| {
                space.set_anon_name(address, length, name.as_deref())
            }));
        }
        if option.has("PR_SET_MEMORY_MERGE") {
            let on = number(1)? != 0;
            return Some(Box::new(move |space| space.set_memory_merge(on)));
        }
        if option.has("PR_SET_MM") && call.arg(1)?.has("PR_SET_MM_START_STACK") {
            let address = number(2)?;
            return Some(Box::new(move |space| {
                space.set_start_stack(address);
                Ok(())
            }));
        }
        None
    }

    /// A part of a program may be made read-only of which the log has not told the place.
    fn place_images(&mut self, address: u64, length: u64) {
        if !self.exec.open() {
            return;
        }
        for placed in self.exec.protected(address, length, &self.memory) {
            placed.map(&mut self.memory, &mut self.gaps);
            self.placed.push(placed);
        }
    }

    /// Whether something is mapped there.
    pub(crate) fn is_taken(&self, address: u64, length: u64) -> bool {
        let end = address.saturating_add(length);
        self.memory.query(address, true).is_some_and(|next| next.range.start < end)
    }

    fn inside(&self, address: u64, length: u64) -> bool {
        let limit = self.memory.profile().task_size;
        address <= limit && length <= limit - address
    }
}

fn advice(word: Value<'_>) -> Option<Advice> {
    let name = std::str::from_utf8(word.0).ok()?.trim();
    let number = word.number();
    let known = Advice::ALL.iter().find(|(_, known, value)| {
        let written = name.strip_prefix("MADV_").unwrap_or("");
        number == u64::try_from(*value).ok()
            || written.len() == known.len()
                && written
                    .bytes()
                    .zip(known.bytes())
                    .all(|(a, b)| a.to_ascii_lowercase() == b || (a == b'_' && b == b'-'))
    });
    known.map(|(advice, ..)| *advice)
}

/// The policy of mbind; none for one that is not known.
fn policy(mode: Value<'_>, mask: Value<'_>) -> Option<Option<Policy>> {
    let mut words = mask.0.strip_prefix(b"[").unwrap_or_default().split(|&b| b == b',');
    let mask = words.next().and_then(|word| {
        Value(word.trim_ascii().strip_suffix(b"]").unwrap_or(word.trim_ascii())).number()
    });
    let mask = mask.unwrap_or(0);
    let nodes: Vec<u32> = (0..64).filter(|node| mask >> node & 1 == 1).collect();
    Some(if mode.has("MPOL_DEFAULT") {
        None
    } else if mode.has("MPOL_LOCAL") {
        Some(Policy::Local)
    } else if mode.has("MPOL_BIND") {
        Some(Policy::Bind(nodes))
    } else if mode.has("MPOL_INTERLEAVE") {
        Some(Policy::Interleave(nodes))
    } else if mode.has("MPOL_PREFERRED") {
        Some(nodes.first().map_or(Policy::Local, |node| Policy::Preferred(*node)))
    } else {
        return None;
    })
}
