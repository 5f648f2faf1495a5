//! Labels from names that the kernel shows.
//!
//! Programs name their memory with `PR_SET_VMA_ANON_NAME` (prctl(2)): glibc since 2.39 if the
//! tunable `glibc.mem.decorate_maps` is set, Go since 1.25, Ruby since 3.4, Android everywhere.

use super::words::{file_name, size};
use super::{BSS, Confidence, Label, Labeller};
use std::borrow::Cow;
use vmatlas_maps::{AddressRange, Kind};
use vmatlas_maps::{Mapping, Maps};

const VDSO: &str = "system calls that need no kernel, from the kernel (vdso(7))";
const VSYSCALL: &str = "the old place of the vdso, the same in every process";

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let maps = labeller.maps;
    let page = Some(labeller.facts.page_size).filter(|page| *page > 0);
    let of_row = |(index, row)| {
        let row: Mapping<'_> = row;
        let label = by_flags(maps, index, &row).or_else(|| label(&row, page));
        Some((row.range, in_huge_pages(maps, index, &row, label.as_ref()).or(label)?))
    };
    let mut labels: Vec<_> = maps.iter().enumerate().filter_map(of_row).collect();
    labels.extend(paddings(maps));
    for (range, label) in labels {
        labeller.label(range, &label);
    }
    guest_memory(labeller);
}

/// Labels the pages for system calls that every process has at the same address. Old kernels show
/// them without a name.
pub(super) fn recognise_gates(labeller: &mut Labeller<'_>) {
    let gates = labeller.maps.iter().filter(Mapping::is_gate);
    for row in gates.collect::<Vec<_>>() {
        // A program of 64 bits may map anything at the address of 32-bit ones.
        let is_of_i386 = row.range.end >> 32 == 0;
        let is_last = || labeller.maps.iter().all(|other| other.range.end <= row.range.end);
        let because = "the kernel has it at this address in every process";
        let label = match row.kind() {
            Kind::Anonymous if is_of_i386 => {
                if !is_last() {
                    continue;
                }
                let because = "kernels of Linux 2.6 have it at this address in 32-bit programs";
                Label::new("vdso", Confidence::Likely, VDSO, because)
            }
            Kind::Vdso if is_of_i386 => continue,
            _ => Label::new("vdso", Confidence::Certain, VSYSCALL, because),
        };
        labeller.label(row.range, &label);
    }
}

/// Gaps that Android's linker fills where a library is mapped in steps of larger pages; Android's
/// kernel shows them as rows (mm/pgsize_migration.c).
fn paddings(maps: &Maps) -> Vec<(AddressRange, Label)> {
    let mut found = Vec::new();
    let mut library: Option<Mapping<'_>> = None;
    for row in maps.iter() {
        if row.name == b"[page size compat]" {
            let below = library.filter(|below| below.range.end == row.range.start);
            let of = below.map(|below| format!(" of {}", file_name(below.name)));
            let text = format!(
                "gap{}: padding of the linker, which maps it in steps of a larger page",
                of.unwrap_or_default()
            );
            let because = "the kernel calls it so";
            found.push((row.range, Label::new("padding", Confidence::Certain, text, because)));
        }
        if row.kind() == Kind::File {
            library = Some(row);
        }
    }
    found
}

/// Whether `VmFlags` of smaps has a flag (proc_pid_smaps(5)).
fn has_flag(maps: &Maps, index: usize, flag: &str) -> bool {
    maps.vm_flags(index).is_some_and(|flags| flags.has(flag))
}

/// The label of memory in huge pages of hugetlbfs, with the label that its name gives it. Anonymous
/// memory has a name for it, but files, memfds and segments of System V do not show it.
fn in_huge_pages(
    maps: &Maps,
    index: usize,
    row: &Mapping<'_>,
    named: Option<&Label>,
) -> Option<Label> {
    if !has_flag(maps, index, "ht") {
        return None;
    }
    let page = maps.fields(index).find(|field| field.name == b"KernelPageSize");
    let page = page.and_then(|field| field.value.number());
    let of = page.map(|page| format!(" of {}", size(page))).unwrap_or_default();
    let because = "the kernel says so (VmFlags: ht)";
    let what = match (row.kind(), named) {
        (Kind::HugeAnonymous, _) => {
            let text = format!("anonymous memory in huge pages{of} (MAP_HUGETLB)");
            return Some(Label::new("huge pages", Confidence::Certain, text, because));
        }
        (_, Some(label)) => label.text.clone(),
        (Kind::Memfd { name }, None) => format!("memfd {}", String::from_utf8_lossy(name)),
        (Kind::File, None) => "file of hugetlbfs".to_owned(),
        _ => "memory".to_owned(),
    };
    let text = format!("{what}, in huge pages{of}");
    Some(Label::new("huge pages", Confidence::Certain, text, because))
}

/// The label of memory whose purpose `VmFlags` of smaps shows.
fn by_flags(maps: &Maps, index: usize, row: &Mapping<'_>) -> Option<Label> {
    let has = |flag| has_flag(maps, index, flag);
    let (group, text, because) = match row.kind() {
        Kind::Anonymous if has("ss") => (
            "shadow stack",
            "shadow stack: the processor keeps return addresses there",
            "the kernel says so (VmFlags: ss)",
        ),
        Kind::Anonymous if has("dp") => (
            "droppable memory",
            "memory that the kernel may drop, such as the state of getrandom(2)",
            "the kernel says so (VmFlags: dp, MAP_DROPPABLE)",
        ),
        _ => return None,
    };
    Some(Label::new(group, Confidence::Certain, text, because))
}

fn label(row: &Mapping<'_>, page: Option<u64>) -> Option<Label> {
    let certain = |group: &'static str, text: &str| {
        Some(Label::new(group, Confidence::Certain, text, "the kernel calls it so"))
    };
    match row.kind() {
        Kind::NamedSharedAnonymous { name } if row.name.starts_with(b"/dev/ashmem/") => {
            Some(named(name, "the program named it so (ashmem)"))
        }
        Kind::NamedAnonymous { name } | Kind::NamedSharedAnonymous { name } => {
            Some(named(name, "the program named it so (PR_SET_VMA_ANON_NAME)"))
        }
        Kind::Vdso => certain("vdso", VDSO),
        Kind::Vvar => certain("vdso", "data of the kernel for the vdso, such as the time"),
        Kind::Vsyscall => certain("vdso", VSYSCALL),
        Kind::Aio => certain("I/O ring", "ring of completed requests of io_setup(2)"),
        // Packet and XDP sockets have rings, and TCP receives into memory without copies.
        Kind::Socket => {
            certain("socket memory", "memory of a socket, such as a ring of packets (packet(7))")
        }
        Kind::DmaBuf => certain("DMA buffer", "buffer shared with devices (DMA-BUF)"),
        Kind::Secretmem => {
            certain("secret memory", "memory hidden from the kernel (memfd_secret(2))")
        }
        Kind::AnonInode => anon_inode(row, page),
        Kind::Device => device(row.name),
        Kind::SharedAnonymous => certain(
            "shared memory",
            "anonymous memory that child processes would share (MAP_SHARED)",
        ),
        Kind::SysvShm { key, id } => {
            let text = format!("System V shared memory, segment {id}, key {key:#x} (shmget(2))");
            certain("shared memory", &text)
        }
        Kind::HugeAnonymous => {
            certain("huge pages", "anonymous memory in huge pages (MAP_HUGETLB)")
        }
        Kind::Special => match row.name {
            b"[uprobes]" => certain("uprobes", "instructions replaced by probes (uprobes)"),
            b"[sigpage]" => certain("vdso", "code that returns from signal handlers"),
            b"[vectors]" => certain("vdso", "exception vectors and helpers of 32-bit Arm"),
            _ => None,
        },
        _ => None,
    }
}

/// The label for a name that a program gave, as in `[anon:…]`.
fn named(name: &[u8], because: &str) -> Label {
    let name = String::from_utf8_lossy(name);
    let trimmed = name.trim();
    let (group, text): (Cow<'static, str>, Cow<'_, str>) = match trimmed
        .split_once(": ")
        .unwrap_or(("", trimmed))
    {
        ("glibc", "malloc") => {
            ("glibc main heap".into(), "glibc malloc: main heap or a large block".into())
        }
        ("glibc", "malloc arena") => {
            ("glibc arena".into(), "glibc malloc: arena of a thread".into())
        }
        ("glibc", "loader malloc") => ("loader".into(), "memory of the dynamic linker".into()),
        // glibc names it when the thread ends, whether it keeps the stack or not.
        ("glibc", "unused stack") => ("thread stack".into(), "stack of an ended thread".into()),
        ("glibc", rest) => match rest.split_once("stack: ") {
            Some((_, tid)) => ("thread stack".into(), format!("stack of thread {tid}").into()),
            None => ("glibc".into(), format!("glibc: {rest}").into()),
        },
        ("Go", rest) => match rest {
            "heap" => ("Go heap".into(), "Go: heap".into()),
            rest => ("Go metadata".into(), format!("Go: {rest}").into()),
        },
        ("OCaml", rest) => ("OCaml".into(), format!("OCaml: {rest}").into()),
        _ => match trimmed {
            "libc_malloc" | "scudo:primary" | "scudo:secondary" => {
                ("malloc".into(), format!("malloc ({trimmed})").into())
            }
            "mimalloc" => ("mimalloc".into(), "mimalloc: memory".into()),
            "stack_and_tls" | "thread stack guard" | "bionic TLS" => {
                ("thread stack".into(), trimmed.into())
            }
            BSS => (BSS.into(), ".bss: variables that begin as zero".into()),
            "cfi shadow" => ("sanitizer".into(), "shadow of control-flow integrity".into()),
            "" => ("named memory".into(), "memory with an empty name".into()),
            _ if trimmed.starts_with("stack_and_tls:") => ("thread stack".into(), trimmed.into()),
            _ if trimmed.starts_with("dalvik-") => ("Android runtime".into(), trimmed.into()),
            _ if trimmed.starts_with("scudo:") => ("malloc".into(), trimmed.into()),
            _ if trimmed.starts_with("Ruby:") => ("Ruby".into(), trimmed.into()),
            _ if trimmed.starts_with("linker_alloc") => ("loader".into(), trimmed.into()),
            _ => ("named memory".into(), format!("memory named {trimmed}").into()),
        },
    };
    Label::new(group, Confidence::Certain, text, because)
}

/// The label for `anon_inode:NAME`, the driver's name.
fn anon_inode(row: &Mapping<'_>, page: Option<u64>) -> Option<Label> {
    let (group, text) = match row.name.strip_prefix(b"anon_inode:")? {
        b"[io_uring]" => ("I/O ring", "queues shared with the kernel (io_uring(7))"),
        b"[perf_event]" if row.offset != 0 => {
            ("perf event", "trace data of perf_event_open(2) (AUX area)")
        }
        // The ring begins at the second page.
        b"[perf_event]" if row.range.size() <= page.unwrap_or_else(|| perf_page(row)) => {
            ("perf event", "control page of perf_event_open(2)")
        }
        b"[perf_event]" => ("perf ring", "ring of events of perf_event_open(2)"),
        b"bpf-map" => ("BPF", "map or ring of a BPF program (bpf(2))"),
        name if name.starts_with(b"kvm-vcpu") => ("KVM", "state of a virtual processor (KVM)"),
        name if name.starts_with(b"kvm-") => ("KVM", "object of KVM"),
        b"[userfaultfd]" => ("userfaultfd", "userfaultfd(2)"),
        _ => return None,
    };
    Some(Label::new(group, Confidence::Certain, text, "the kernel calls it so"))
}

/// The size of a page if a row of `[perf_event]` alone may show it. A ring is a control page with a
/// power of two of pages: only two pages are a power of two together.
fn perf_page(row: &Mapping<'_>) -> u64 {
    let size = row.range.size();
    if size.is_power_of_two() && size > 8192 { size } else { 4096 }
}

/// The label for a file in /dev.
fn device(name: &[u8]) -> Option<Label> {
    /// A `/` or `-` at the end stands for any rest, a `#` for a number.
    const DRIVERS: &[(&[u8], &str, &str)] = &[
        (b"/dev/nvidia#", "GPU", "memory or registers for an NVIDIA GPU"),
        (b"/dev/nvidiactl", "GPU", "memory or registers for an NVIDIA GPU"),
        (b"/dev/nvidia-", "GPU", "memory or registers for an NVIDIA GPU"),
        (b"/dev/dri/", "GPU", "memory for a GPU (DRM)"),
        (b"/dev/kfd", "GPU", "memory or registers for an AMD GPU (KFD)"),
        (b"/dev/mali#", "GPU", "memory for a Mali GPU"),
        (b"/dev/kgsl-3d0", "GPU", "memory for an Adreno GPU"),
        (b"/dev/dma_heap/", "DMA buffer", "buffer shared with devices (DMA-BUF)"),
        (b"/dev/vfio/", "device", "registers or memory of a device passed through (VFIO)"),
        (b"/dev/uio#", "device", "registers or memory of a device (UIO)"),
        (b"/dev/infiniband/", "device", "queues or registers of an RDMA device"),
        (b"/dev/video#", "device", "buffers of a video device (V4L2)"),
        (b"/dev/snd/", "device", "buffers or state of a sound device (ALSA)"),
        (b"/dev/binder", "binder", "data that other processes sent (Android's binder)"),
        (b"/dev/hwbinder", "binder", "data that other processes sent (Android's binder)"),
        (b"/dev/mem", "device", "physical addresses (/dev/mem)"),
        (b"/dev/zero", "anonymous", "memory that begins as zero (/dev/zero)"),
    ];
    let is_it = |known: &[u8]| match known.split_last() {
        Some((b'/' | b'-', _)) => name.starts_with(known),
        Some((b'#', start)) => {
            let number = name.strip_prefix(start).unwrap_or_default();
            !number.is_empty() && number.iter().all(u8::is_ascii_digit)
        }
        _ => name == known,
    };
    let (_, group, text) = DRIVERS.iter().find(|(known, ..)| is_it(known))?;
    Some(Label::new(*group, Confidence::Certain, *text, "the driver of the device maps it"))
}

/// Labels the memory of a virtual machine: the largest mapping of a process with virtual
/// processors.
fn guest_memory(labeller: &mut Labeller<'_>) {
    /// Every virtual machine has more.
    const SMALLEST: u64 = 16 << 20;
    let is_vcpu = |row: &Mapping<'_>| row.name.starts_with(b"anon_inode:kvm-vcpu");
    if !labeller.maps.iter().any(|row| is_vcpu(&row)) {
        return;
    }
    let can_be = |row: &Mapping<'_>| {
        let of_memory =
            matches!(row.kind(), Kind::Anonymous | Kind::SharedAnonymous | Kind::Memfd { .. });
        of_memory && row.perms.read() && row.perms.write() && row.range.size() >= SMALLEST
    };
    let largest = labeller.maps.iter().filter(can_be).max_by_key(|row| row.range.size());
    if let Some(row) = largest {
        let text = format!("memory of a virtual machine, {}", size(row.range.size()));
        let because = "the process runs processors of KVM, and this is its largest memory";
        let label = Label::new("KVM guest memory", Confidence::Guess, text, because);
        labeller.label(row.range, &label);
    }
}
