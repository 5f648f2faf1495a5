//! Compiles scenarios to programs of system calls.

mod calls;

use super::program::{Action, Argument, BEFORE, Program};
use super::{RowsAfter, RunnerError};
use Argument::{Slot, Value, Zero};
use calls::{Compiler, Holds, padded};
use libc::c_long;
use std::collections::HashMap;
use std::path::Path;
use vmatlas_maps::uapi::mman::{MAP_DROPPABLE, MAP_PRIVATE, MAP_SHARED};
use vmatlas_maps::uapi::personality::READ_IMPLIES_EXEC;
use vmatlas_maps::uapi::prctl::{
    ARCH_MAP_VDSO_32, ARCH_MAP_VDSO_64, PR_SET_MEMORY_MERGE, PR_SET_VMA, PR_SET_VMA_ANON_NAME,
};
use vmatlas_maps::uapi::userfaultfd::{
    UFFD_API, UFFDIO_API, UFFDIO_REGISTER, UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP,
    UFFDIO_UNREGISTER,
};
use vmatlas_space::scenario::{
    Access, Advice, Map, Operation, PageAddress, Policy, Scenario, Sharing, Span, StepKind,
};

/// The number is the same on all architectures, but libc does not define it on all.
const MEMFD_SECRET: c_long = 447;
/// CONFIG_NODES_SHIFT is at most 10.
const MAX_NODE: u32 = 1023;

/// Compiles a scenario; `directory` contains its files, if it needs one.
pub(crate) fn compile(
    scenario: &Scenario,
    rows_after: RowsAfter,
    page_size: u64,
    directory: Option<&Path>,
) -> Result<Program, RunnerError> {
    let mut compiler = Compiler {
        page_size,
        program: Program { region: scenario.region, ops: vec![], bytes: vec![], slots: 0 },
        slots: HashMap::new(),
        paths: HashMap::new(),
        step: BEFORE,
        line: scenario.line,
        who: 0,
        parents: vec![None],
        left: vec![],
    };
    if let Some(directory) = directory {
        let directory = compiler.string(directory.as_os_str().as_encoded_bytes())?;
        compiler.call(libc::SYS_chdir, [directory, Zero, Zero, Zero, Zero, Zero]);
    }
    let mut known = false;
    for (number, step) in (0..).zip(&scenario.steps) {
        compiler.step = number;
        compiler.line = step.line;
        match &step.kind {
            StepKind::Operation(operation, _) => {
                compiler.operation(operation)?;
                known = rows_after == RowsAfter::EveryStep;
                if known {
                    compiler.push(Action::Rows);
                }
            }
            StepKind::Expect(_) if known => {}
            StepKind::Expect(_) => {
                compiler.push(Action::Rows);
                known = true;
            }
        }
    }
    Ok(compiler.program)
}

/// Whether a scenario creates files in its directory.
pub(crate) fn needs_directory(scenario: &Scenario) -> bool {
    use Operation::{File, Link, Mkdir, Rename, Rmdir, Tmpfile, Unlink};
    let needs = |operation: &Operation| {
        let names = matches!(operation, Rename(..) | Link(..) | Unlink(_) | Mkdir(_) | Rmdir(_));
        names || matches!(operation, File { .. } | Tmpfile { .. })
    };
    scenario
        .steps
        .iter()
        .any(|step| matches!(&step.kind, StepKind::Operation(operation, _) if needs(operation)))
}

impl<'a> Compiler<'a> {
    fn operation(&mut self, operation: &'a Operation) -> Result<(), RunnerError> {
        match operation {
            Operation::Map(map) => self.map(map)?,
            Operation::Unmap(span) => self.over(libc::SYS_munmap, *span, []),
            Operation::Protect { span, prot, pkey, growsdown } => {
                let growsdown = if *growsdown { libc::PROT_GROWSDOWN } else { 0 };
                let prot = Value(prot.bits() | growsdown as u64);
                match pkey.as_deref() {
                    None => self.over(libc::SYS_mprotect, *span, [prot]),
                    Some(key) => {
                        let key = if key == "default" { Zero } else { self.use_key(key)? };
                        self.over(libc::SYS_pkey_mprotect, *span, [prot, key]);
                    }
                }
            }
            Operation::Remap { span, to, new_length, dontunmap, maymove } => {
                let maymove = *maymove || *dontunmap || to.is_some();
                let flags = flags(&[
                    (maymove, libc::MREMAP_MAYMOVE),
                    (to.is_some(), libc::MREMAP_FIXED),
                    (*dontunmap, libc::MREMAP_DONTUNMAP),
                ]);
                let new_length = self.bytes_of(new_length.unwrap_or(span.length));
                let to = to.map_or(Zero, |to| self.address(to));
                self.over(libc::SYS_mremap, *span, [Value(new_length), Value(flags), to]);
            }
            Operation::Refile { span, page } => {
                self.over(libc::SYS_remap_file_pages, *span, [Zero, Value(*page)]);
            }
            Operation::Advise(span, advice) => {
                let number = Advice::ALL.iter().find(|(known, ..)| known == advice);
                let number = number.map_or(-1, |(.., number)| *number);
                self.over(libc::SYS_madvise, *span, [Value(number as u64)]);
            }
            Operation::Lock { span, onfault: false } => self.over(libc::SYS_mlock, *span, []),
            Operation::Lock { span, onfault: true } => {
                self.over(libc::SYS_mlock2, *span, [Value(u64::from(libc::MLOCK_ONFAULT))]);
            }
            Operation::Unlock(span) => self.over(libc::SYS_munlock, *span, []),
            Operation::LockAll { current, future, onfault } => {
                let flags = flags(&[
                    (*current, libc::MCL_CURRENT),
                    (*future, libc::MCL_FUTURE),
                    (*onfault, libc::MCL_ONFAULT),
                ]);
                self.call(libc::SYS_mlockall, [Value(flags), Zero, Zero, Zero, Zero, Zero]);
            }
            Operation::UnlockAll => self.call(libc::SYS_munlockall, [Zero; 6]),
            Operation::Seal(span) => self.over(libc::SYS_mseal, *span, []),
            Operation::Name { span, name } => {
                let name = name.as_deref().map_or(Ok(Zero), |name| self.string(name))?;
                let (at, length) = (self.address(span.at), self.bytes_of(span.length));
                let arguments =
                    [Value(PR_SET_VMA), Value(PR_SET_VMA_ANON_NAME), at, Value(length), name, Zero];
                self.call(libc::SYS_prctl, arguments);
            }
            Operation::Pkey(key) => {
                let slot = self.make(Holds::Key, key);
                self.call_into(slot, libc::SYS_pkey_alloc, [Zero; 6]);
            }
            Operation::Policy(span, policy) => self.policy(*span, policy)?,
            Operation::Uffd(fd) => {
                let result = self.make(Holds::Descriptor, fd);
                self.push(Action::Uffd { result });
                let words = [Value(UFFD_API), Zero, Zero, Zero];
                self.push(Action::Ioctl { fd: result, request: UFFDIO_API, words });
            }
            Operation::Register { fd, span, write_protect } => {
                let mode = if *write_protect {
                    UFFDIO_REGISTER_MODE_WP
                } else {
                    UFFDIO_REGISTER_MODE_MISSING
                };
                self.ioctl(fd, UFFDIO_REGISTER, *span, mode)?;
            }
            Operation::Unregister { fd, span } => self.ioctl(fd, UFFDIO_UNREGISTER, *span, 0)?,
            Operation::Brk(pages) => {
                let by = pages.wrapping_mul(self.page_size as i64);
                self.push(Action::Brk { by });
            }
            Operation::Ksm(on) => {
                let arguments = [Value(PR_SET_MEMORY_MERGE), Value(u64::from(*on))];
                self.call(libc::SYS_prctl, padded(arguments));
            }
            Operation::ReadImpliesExec => {
                self.call(libc::SYS_personality, padded([Value(READ_IMPLIES_EXEC)]));
            }
            Operation::Vdso { at, narrow, .. } => {
                let option = if *narrow { ARCH_MAP_VDSO_32 } else { ARCH_MAP_VDSO_64 };
                let at = self.offset(*at);
                self.push(Action::Vdso { at, option });
            }
            Operation::Read { at, pages } => self.touch(*at, *pages, false),
            Operation::Write { at, pages } => self.touch(*at, *pages, true),
            Operation::File { label, pages, path } => {
                let path = path.as_deref().unwrap_or(label.as_bytes());
                let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
                let fd = self.open(label, path, flags)?;
                self.truncate(fd, *pages);
            }
            Operation::Tmpfile { label, pages } => {
                let fd = self.make(Holds::Descriptor, label);
                self.open_at(fd, b".", libc::O_RDWR | libc::O_TMPFILE)?;
                self.truncate(fd, *pages);
            }
            Operation::Memfd { label, pages, name } => {
                let name = self.string(name.as_deref().unwrap_or(label.as_bytes()))?;
                let fd = self.make(Holds::Descriptor, label);
                self.call_into(fd, libc::SYS_memfd_create, padded([name]));
                self.truncate(fd, *pages);
            }
            Operation::Secretmem { label, pages } => {
                let fd = self.make(Holds::Descriptor, label);
                self.call_into(fd, MEMFD_SECRET, [Zero; 6]);
                self.truncate(fd, *pages);
            }
            Operation::Device { label, path } => {
                self.open(label, path, libc::O_RDWR)?;
            }
            Operation::Open { label, fd, access } => {
                let path = self.paths.get(label.as_str());
                let path = *path.ok_or_else(|| self.unknown("file", label))?;
                let flags = match access {
                    Access::ReadWrite => libc::O_RDWR,
                    Access::ReadOnly => libc::O_RDONLY,
                    Access::WriteOnly => libc::O_WRONLY,
                };
                let slot = self.make(Holds::Descriptor, fd);
                self.open_at(slot, path, flags)?;
            }
            Operation::Dup { fd, to } => {
                let fd = self.descriptor(fd)?;
                let to = self.make(Holds::Descriptor, to);
                self.call_into(to, libc::SYS_dup, padded([Slot(fd)]));
            }
            Operation::Close(fd) => {
                let fd = self.descriptor(fd)?;
                self.push(Action::Close { fd });
            }
            Operation::Truncate { fd, pages } => {
                let fd = self.descriptor(fd)?;
                self.truncate(fd, *pages);
            }
            Operation::Rename(from, to) => self.at_paths(libc::SYS_renameat2, from, to)?,
            Operation::Link(from, to) => self.at_paths(libc::SYS_linkat, from, to)?,
            Operation::Unlink(path) => self.at_path(libc::SYS_unlinkat, path, 0)?,
            Operation::Mkdir(path) => self.at_path(libc::SYS_mkdirat, path, 0o700)?,
            Operation::Rmdir(path) => {
                self.at_path(libc::SYS_unlinkat, path, libc::AT_REMOVEDIR as u64)?;
            }
            Operation::Shm { label, pages, key } => {
                let size = Value(pages.wrapping_mul(self.page_size));
                let key = key.unwrap_or(libc::IPC_PRIVATE) as u64;
                let flags = (libc::IPC_CREAT | libc::IPC_EXCL | 0o600) as u64;
                let slot = self.make(Holds::Segment, label);
                let arguments = padded([Value(key), size, Value(flags)]);
                self.call_into(slot, libc::SYS_shmget, arguments);
            }
            Operation::Attach { label, at, readonly, replace } => {
                let flags = flags(&[(*readonly, libc::SHM_RDONLY), (*replace, libc::SHM_REMAP)]);
                let segment = self.get(Holds::Segment, "segment", label)?;
                let arguments = [Slot(segment), self.address(*at), Value(flags)];
                self.call(libc::SYS_shmat, padded(arguments));
            }
            Operation::Detach(at) => {
                let at = self.address(*at);
                self.call(libc::SYS_shmdt, padded([at]));
            }
            Operation::Fork => {
                let child = self.parents.len() as u32;
                self.push(Action::Fork { child });
                self.parents.push(Some(self.who));
                self.who = child;
            }
            Operation::Parent => {
                let parent = self.parents.get(self.who as usize).copied().flatten();
                let parent = parent.ok_or_else(|| self.error("this process has no parent"))?;
                self.left.push(self.who);
                self.who = parent;
            }
            Operation::Child => {
                let child = self.left.pop();
                self.who = child.ok_or_else(|| self.error("no process was left with `parent`"))?;
            }
            other => return Err(self.error(&format!("not known here: {other:?}"))),
        }
        Ok(())
    }

    fn map(&mut self, map: &'a Map) -> Result<(), RunnerError> {
        let sharing = match map.sharing {
            Sharing::Private => MAP_PRIVATE,
            Sharing::Shared => MAP_SHARED,
            Sharing::Droppable => MAP_DROPPABLE,
        };
        let options = flags(&[
            (map.file.is_none(), libc::MAP_ANONYMOUS),
            (!map.noreplace, libc::MAP_FIXED),
            (map.noreplace, libc::MAP_FIXED_NOREPLACE),
            (map.noreserve, libc::MAP_NORESERVE),
            (map.stack, libc::MAP_STACK),
            (map.growsdown, libc::MAP_GROWSDOWN),
            (map.populate, libc::MAP_POPULATE),
            (map.locked, libc::MAP_LOCKED),
            (map.huge, libc::MAP_HUGETLB),
        ]);
        let (fd, offset) = match &map.file {
            None => (Value(u64::MAX), 0),
            Some((fd, page)) => (Slot(self.descriptor(fd)?), page.wrapping_mul(self.page_size)),
        };
        let prot = Value(map.prot.bits());
        self.over(libc::SYS_mmap, map.span, [prot, Value(sharing | options), fd, Value(offset)]);
        Ok(())
    }

    fn policy(&mut self, span: Span, policy: &Policy) -> Result<(), RunnerError> {
        let (mode, nodes) = match policy {
            Policy::Default => (libc::MPOL_DEFAULT, &[][..]),
            Policy::Local => (libc::MPOL_LOCAL, &[][..]),
            Policy::Bind(nodes) => (libc::MPOL_BIND, nodes.as_slice()),
            Policy::Preferred(node) => (libc::MPOL_PREFERRED, std::slice::from_ref(node)),
            Policy::Interleave(nodes) => (libc::MPOL_INTERLEAVE, nodes.as_slice()),
        };
        let mask = nodes.iter().max().map(|&highest| {
            let mut mask = vec![0u64; highest.min(MAX_NODE) as usize / 64 + 1];
            for &node in nodes.iter().filter(|&&node| node <= MAX_NODE) {
                mask[node as usize / 64] |= 1 << (node % 64);
            }
            mask
        });
        if nodes.iter().any(|&node| node > MAX_NODE) {
            return Err(self.error("there are no nodes above 1023"));
        }
        // The kernel uses one bit less than the argument says.
        let bits = mask.as_ref().map_or(0, |mask| 64 * mask.len() as u64 + 1);
        let mask = mask.map_or(Zero, |mask| {
            self.raw(&mask.into_iter().flat_map(u64::to_ne_bytes).collect::<Vec<u8>>())
        });
        self.over(libc::SYS_mbind, span, [Value(mode as u64), mask, Value(bits), Zero]);
        Ok(())
    }

    fn ioctl(&mut self, fd: &str, request: u64, span: Span, mode: u64) -> Result<(), RunnerError> {
        let fd = self.descriptor(fd)?;
        let length = Value(self.bytes_of(span.length));
        let words = [self.address(span.at), length, Value(mode), Zero];
        self.push(Action::Ioctl { fd, request, words });
        Ok(())
    }

    fn touch(&mut self, at: PageAddress, pages: u64, store: bool) {
        let at = self.offset(at);
        self.push(Action::Touch { at, pages, store });
    }
}

/// Combines the requested flags.
fn flags(asked: &[(bool, i32)]) -> u64 {
    asked.iter().filter(|(asked, _)| *asked).fold(0, |all, (_, flag)| all | *flag as u64)
}
