//! The memory of the machine and of control groups, by what holds it.

use super::cgroup::Controller;
use crate::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// `/proc/meminfo` (proc_meminfo(5)), in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachineMemory {
    /// All memory that the kernel manages (`MemTotal`).
    pub total: u64,
    /// `MemFree`.
    pub free: u64,
    /// Pages of files, of tmpfs and of the swap cache that no process maps: `Cached`, `Buffers` and
    /// `SwapCached` without `Mapped`.
    pub unmapped_cache: u64,
    /// `Slab`.
    pub slab: u64,
    /// The part of it that the kernel may take back (`SReclaimable`).
    pub reclaimable_slab: u64,
    /// `PageTables` and `SecPageTables`.
    pub page_tables: u64,
    /// `KernelStack` and `Percpu`.
    pub kernel: u64,
    /// The pool of huge pages (`Hugetlb`), used or not.
    pub huge_page_pool: u64,
    /// Compressed swap (`Zswap`).
    pub zswap: u64,
    /// Mapped pages without a file (`AnonPages`), as the kernel counts them.
    pub anonymous: u64,
    /// Mapped pages of files and tmpfs (`Mapped`), as the kernel counts them.
    pub mapped: u64,
}

impl MachineMemory {
    /// Reads it below `proc`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(proc: &Path) -> Result<MachineMemory, Error> {
        let path = proc.join("meminfo");
        let text = fs::read_to_string(&path).map_err(|source| Error::Io { path, source })?;
        Ok(MachineMemory::parse(&text))
    }

    /// Parses the text; fields that are missing are 0.
    pub fn parse(text: &str) -> MachineMemory {
        let field = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            let number =
                line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
            number.unwrap_or(0).saturating_mul(1024)
        };
        let sum = |keys: &[&str]| keys.iter().fold(0u64, |sum, key| sum.saturating_add(field(key)));
        MachineMemory {
            total: field("MemTotal"),
            free: field("MemFree"),
            unmapped_cache: sum(&["Cached", "Buffers", "SwapCached"])
                .saturating_sub(field("Mapped")),
            slab: field("Slab"),
            reclaimable_slab: field("SReclaimable"),
            page_tables: sum(&["PageTables", "SecPageTables"]),
            kernel: sum(&["KernelStack", "Percpu"]),
            huge_page_pool: field("Hugetlb"),
            zswap: field("Zswap"),
            anonymous: field("AnonPages"),
            mapped: field("Mapped"),
        }
    }
}

/// What is charged to a control group and those below it, in bytes: the memory that its processes
/// touched first, whoever maps it now (Documentation/admin-guide/cgroup-v2.rst, "Memory
/// Ownership").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CgroupMemory {
    /// All of it (`memory.current`; version 1: `memory.usage_in_bytes`).
    pub current: u64,
    /// Its limit; `None` without one.
    pub limit: Option<u64>,
    /// Anonymous memory.
    pub anonymous: u64,
    /// Pages of files and of tmpfs.
    pub file: u64,
    /// Those of them that processes map.
    pub mapped: u64,
    /// The kernel's small objects (`slab`); not known of version 1.
    pub slab: Option<u64>,
    /// Page tables; not known of version 1.
    pub page_tables: Option<u64>,
    /// All memory of the kernel, with the two (`kernel`; version 1: `memory.kmem.usage_in_bytes`).
    pub kernel: Option<u64>,
}

impl CgroupMemory {
    /// Reads the figures of a group, given by its directory; `None` if it has no memory controller.
    pub fn read(dir: &Path, controller: Controller) -> Option<CgroupMemory> {
        let read = |name: &str| fs::read_to_string(PathBuf::from(dir).join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let stat = read("memory.stat")?;
        let field = |key: &str| {
            let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.parse::<u64>().ok();
            stat.lines().find_map(value)
        };
        let known = |key: &str| field(key).unwrap_or(0);
        Some(match controller {
            Controller::V2 => CgroupMemory {
                current: number("memory.current")?,
                limit: number("memory.max"),
                anonymous: known("anon"),
                file: known("file"),
                mapped: known("file_mapped"),
                slab: field("slab"),
                page_tables: field("pagetables"),
                kernel: field("kernel"),
            },
            Controller::V1 => CgroupMemory {
                current: number("memory.usage_in_bytes")?,
                // Without a limit it is the largest number of whole pages.
                limit: number("memory.limit_in_bytes").filter(|limit| *limit < i64::MAX as u64 / 2),
                anonymous: known("total_rss"),
                file: known("total_cache"),
                mapped: known("total_mapped_file"),
                slab: None,
                page_tables: None,
                kernel: number("memory.kmem.usage_in_bytes"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::MachineMemory;

    #[test]
    fn meminfo() {
        let text = "MemTotal: 100 kB\nMemFree:  10 kB\nBuffers: 1 kB\nCached: 30 kB\nMapped: 11 kB\nSwapCached: 0 kB\n";
        let memory = MachineMemory::parse(text);
        assert_eq!((memory.total, memory.free), (100 << 10, 10 << 10));
        assert_eq!(memory.unmapped_cache, 20 << 10);
        assert_eq!(memory.slab, 0);
        assert_eq!(MachineMemory::parse("MemTotal: x\nCached").total, 0);
    }
}
