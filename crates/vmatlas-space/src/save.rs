//! Saves an address space as bytes, so that a reader can start in the middle of a recording.

use super::guards::Guards;
use super::vma::{Anon, Special, Vma};
use super::vmas::Vmas;
use super::{AddressSpace, Faults, File, FileKind, KernelProfile, Policy, VmaFlags, Vsyscall};
use crate::bytes::{Put, Take};
use std::collections::BTreeSet;
use std::sync::Arc;
use vmatlas_maps::Device;

/// The open files that address spaces share, by number.
#[derive(Debug, Default)]
pub struct SavedFiles {
    files: Vec<File>,
    numbers: std::collections::HashMap<usize, u32>,
}

impl SavedFiles {
    /// The number of a file, counted from 1.
    pub fn number(&mut self, file: &File) -> u32 {
        let next = self.files.len() as u32 + 1;
        let number = *self.numbers.entry(file.address()).or_insert(next);
        if number == next {
            self.files.push(file.clone());
        }
        number
    }

    /// The file of that number.
    pub fn get(&self, number: u32) -> Option<File> {
        self.files.get((number as usize).checked_sub(1)?).cloned()
    }

    /// Writes the files in the order of their numbers.
    pub fn save(&self, out: &mut Vec<u8>) {
        out.put(self.files.len() as u64);
        for file in &self.files {
            out.push(file.kind() as u8);
            out.push(u8::from(file.readable()) | u8::from(file.writable()) << 1);
            out.put(u64::from(file.device().major));
            out.put(u64::from(file.device().minor));
            out.put(file.inode());
            out.put(file.size());
            out.put_bytes(&file.name());
        }
    }

    /// Reads what [`save`](Self::save) wrote; `None` if it is truncated or damaged.
    pub fn load(take: &mut Take<'_>) -> Option<SavedFiles> {
        let count = take.count()?;
        let mut saved = SavedFiles::default();
        for _ in 0..count {
            let kind = *FileKind::ALL.get(usize::from(take.byte()?))?;
            let access = take.byte()?;
            let device = Device::new(take.u32()?, take.u32()?);
            let (inode, size) = (take.uint()?, take.uint()?);
            let file = File::of(kind, take.bytes()?, device, inode);
            file.set_size(size);
            let both = access & 3 == 3;
            let file = if both { file } else { file.reopen(access & 1 != 0, access & 2 != 0) };
            saved.files.push(file);
        }
        Some(saved)
    }
}

impl AddressSpace {
    /// Writes the whole state except the profile.
    pub fn save(&self, files: &mut SavedFiles, out: &mut Vec<u8>) {
        for number in [self.start_brk, self.brk, self.start_stack, self.mmap_base] {
            out.put(number);
        }
        out.put(self.default_flags.bits());
        // A 32-bit program has no `[vsyscall]`, even if the profile shows one.
        let no_vsyscall = self.profile.vsyscall == Vsyscall::None;
        let unreported = self.faults == Faults::Unreported;
        let seen = self.faults == Faults::Seen;
        let bits = [seen, no_vsyscall, self.ksm_all, self.read_implies_exec, unreported];
        out.push(bits.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit)));
        out.put(u64::from(self.pkeys));
        out.put(self.execute_only_pkey.map_or(0, |key| u64::from(key) + 1));
        out.put(u64::from(self.next_anon));
        out.put(u64::from(self.next_uffd));
        let guards: Vec<(u64, u64)> = self.guards.iter().collect();
        out.put(guards.len() as u64);
        let mut near = 0;
        for (start, end) in guards {
            out.put_address(start, near);
            out.put_address(end, start);
            near = end;
        }
        out.put(self.doubts.len() as u64);
        for doubt in &self.doubts {
            out.put_address(*doubt, near);
            near = *doubt;
        }
        out.put(self.vmas.len() as u64);
        let mut near = 0;
        for vma in self.vmas.iter() {
            save_vma(vma, near, files, out, self.profile.page_shift);
            near = vma.end;
        }
    }

    /// Reads what [`save`](AddressSpace::save) wrote; `None` if the bytes are invalid.
    pub fn restore(
        profile: Arc<KernelProfile>,
        files: &SavedFiles,
        take: &mut Take<'_>,
    ) -> Option<AddressSpace> {
        let shift = profile.page_shift;
        let mut space = AddressSpace::new(KernelProfile::clone(&profile));
        space.profile = profile;
        space.start_brk = take.uint()?;
        space.brk = take.uint()?;
        space.start_stack = take.uint()?;
        space.mmap_base = take.uint()?;
        space.default_flags = VmaFlags::from_bits(take.uint()?);
        let bits = take.byte()?;
        if bits & 8 != 0 && space.profile.vsyscall != Vsyscall::None {
            space.set_vsyscall(Vsyscall::None);
        }
        space.ksm_all = bits & 4 != 0;
        space.read_implies_exec = bits & 2 != 0;
        space.faults = match bits & (16 | 1) {
            0 => Faults::Reported,
            1 => Faults::Unreported,
            _ => Faults::Seen,
        };
        space.pkeys = u16::try_from(take.uint()?).ok()?;
        space.execute_only_pkey = match take.uint()? {
            0 => None,
            key => Some(u8::try_from(key - 1).ok().filter(|key| *key < 16)?),
        };
        space.next_anon = take.u32()?;
        space.next_uffd = take.u32()?;
        let mut guards = Guards::default();
        let mut near = 0;
        for _ in 0..take.count()? {
            let start = take.address(near)?;
            near = take.address(start)?;
            if start >= near {
                return None;
            }
            guards.insert(start..near);
        }
        space.guards = guards;
        let mut doubts = BTreeSet::new();
        for _ in 0..take.count()? {
            near = take.address(near)?;
            doubts.insert(near);
        }
        space.doubts = doubts;
        let mut vmas = Vmas::default();
        let mut near = 0;
        for _ in 0..take.count()? {
            let vma = load_vma(near, files, take, shift)?;
            let sound = near <= vma.start && vma.start < vma.end;
            let within = vma.end <= space.profile.task_size;
            let aligned = space.profile.is_aligned(vma.start) && space.profile.is_aligned(vma.end);
            if !sound || !within || !aligned {
                return None;
            }
            near = vma.end;
            vmas.insert(vma);
        }
        space.vmas = vmas;
        Some(space)
    }
}

/// Bits for the optional parts of a VMA that follow.
const FILE: u64 = 1;
const NAME: u64 = 2;
const POLICY: u64 = 4;
const UFFD: u64 = 8;
const PKEY: u64 = 16;
const SPECIAL: u64 = 32;
/// The offsets follow from the address.
const PLAIN: u64 = 64;
/// The reverse map by the reported faults alone.
const SEEN: u64 = 128;

fn save_vma(vma: &Vma, near: u64, files: &mut SavedFiles, out: &mut Vec<u8>, shift: u32) {
    let page = vma.start >> shift;
    let bit = |set: bool, bit: u64| if set { bit } else { 0 };
    let bits = bit(vma.file.is_some(), FILE)
        | bit(vma.name.is_some(), NAME)
        | bit(vma.policy.is_some(), POLICY)
        | bit(vma.uffd != 0, UFFD)
        | bit(vma.pkey != 0, PKEY)
        | bit(vma.special.is_some(), SPECIAL)
        | bit(vma.offset == page && vma.anon_offset == page, PLAIN)
        | bit(vma.seen != Anon::None, SEEN);
    out.put(bits);
    out.put_address(vma.start, near);
    out.put_address(vma.end, vma.start);
    out.put(vma.flags.bits());
    save_anon(vma.anon, out);
    if bits & SEEN != 0 {
        save_anon(vma.seen, out);
    }
    if bits & PLAIN == 0 {
        out.put(vma.offset);
        out.put_signed(vma.anon_offset.wrapping_sub(page) as i64);
    }
    if let Some(file) = &vma.file {
        out.put(u64::from(files.number(file)));
    }
    if let Some(name) = &vma.name {
        out.put_bytes(name);
    }
    if let Some(policy) = &vma.policy {
        let (mode, nodes): (u8, &[u32]) = match &**policy {
            Policy::Local => (0, &[]),
            Policy::Bind(nodes) => (1, nodes),
            Policy::Preferred(node) => (2, std::slice::from_ref(node)),
            Policy::Interleave(nodes) => (3, nodes),
        };
        out.push(mode);
        out.put(nodes.len() as u64);
        nodes.iter().for_each(|node| out.put(u64::from(*node)));
    }
    if vma.uffd != 0 {
        out.put(u64::from(vma.uffd));
    }
    if vma.pkey != 0 {
        out.push(vma.pkey);
    }
    if let Some(special) = vma.special {
        out.push(Special::ALL.iter().position(|other| *other == special).unwrap_or(0) as u8);
    }
}

fn save_anon(anon: Anon, out: &mut Vec<u8>) {
    let mut unknown = |kind: u64, number: u32| {
        out.put(kind);
        out.put(u64::from(number));
    };
    match anon {
        Anon::None => out.put(0),
        Anon::Unknown(number) => unknown(1, number),
        Anon::Moved(number) => unknown(2, number),
        Anon::Forked(number) => unknown(3, number),
        Anon::Some { id, forked } => out.put(u64::from(id) << 1 | u64::from(forked) | 1 << 33),
    }
}

fn load_anon(take: &mut Take<'_>) -> Option<Anon> {
    Some(match take.uint()? {
        0 => Anon::None,
        1 => Anon::Unknown(take.u32()?),
        2 => Anon::Moved(take.u32()?),
        3 => Anon::Forked(take.u32()?),
        number => Anon::Some { id: (number >> 1) as u32, forked: number & 1 != 0 },
    })
}

fn load_vma(near: u64, files: &SavedFiles, take: &mut Take<'_>, shift: u32) -> Option<Vma> {
    let bits = take.uint()?;
    let start = take.address(near)?;
    let end = take.address(start)?;
    let flags = VmaFlags::from_bits(take.uint()?);
    let mut vma = Vma::untouched(start, end, flags, shift);
    vma.anon = load_anon(take)?;
    if bits & SEEN != 0 {
        vma.seen = load_anon(take)?;
    }
    if bits & PLAIN == 0 {
        vma.offset = take.uint()?;
        vma.anon_offset = (start >> shift).wrapping_add(take.signed()? as u64);
    }
    if bits & FILE != 0 {
        vma.file = Some(files.get(take.u32()?)?);
    }
    if bits & NAME != 0 {
        vma.name = Some(Arc::new(take.bytes()?.to_vec()));
    }
    if bits & POLICY != 0 {
        let mode = take.byte()?;
        let count = take.count()?;
        let nodes = (0..count).map(|_| take.u32()).collect::<Option<Vec<u32>>>()?;
        vma.policy = Some(Arc::new(match mode {
            0 => Policy::Local,
            1 => Policy::Bind(nodes),
            2 => Policy::Preferred(*nodes.first()?),
            3 => Policy::Interleave(nodes),
            _ => return None,
        }));
    }
    if bits & UFFD != 0 {
        vma.uffd = take.u32()?;
    }
    if bits & PKEY != 0 {
        vma.pkey = take.byte().filter(|key| *key < 16)?;
    }
    if bits & SPECIAL != 0 {
        vma.special = Some(*Special::ALL.get(usize::from(take.byte()?))?);
    }
    Some(vma)
}
