//! Labels of synthetic maps, and of inconsistent facts and memory.

mod evidence;
mod stacks;

use proptest::collection::vec;
use proptest::prelude::*;
use std::path::Path;
use vmatlas_explain::crash::Machine;
use vmatlas_explain::label::{
    Auxv, Confidence, Facts, FunctionFacts, ImageFacts, Labels, OriginFacts, ThreadFacts,
    WANTED_SYMBOLS,
};
use vmatlas_maps::{AddressRange, KernelVersion, Maps, WordSize};
use vmatlas_object::Memory;

fn capture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/captures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn labels(text: &[u8]) -> (Maps, Labels) {
    let maps = Maps::parse(text).unwrap();
    assert_eq!(maps.warnings(), []);
    let labels = Labels::read(&maps, &Facts::default(), None);
    (maps, labels)
}

/// Group, confidence and text of the first row with this name.
fn of_name(maps: &Maps, labels: &Labels, name: &str) -> (String, Confidence, String) {
    let row = maps.iter().find(|row| row.name == name.as_bytes());
    let row = row.unwrap_or_else(|| panic!("no row is called {name}"));
    let part = labels.at(row.range.start).unwrap_or_else(|| panic!("{name} has no label"));
    (part.label.group.to_string(), part.label.confidence, part.label.text.clone())
}

#[test]
fn names_that_kernels_printed_are_put_into_words() {
    let (maps, labels) = labels(&capture("zoo-x86_64-6.12-anon-names.maps"));
    for (name, group, words) in [
        ("[anon:zoo name]", "named memory", "memory named zoo name"),
        ("[anon_shmem:shared zoo]", "named memory", "memory named shared zoo"),
        ("anon_inode:[perf_event]", "perf ring", "ring of events of perf_event_open(2)"),
        ("anon_inode:[io_uring]", "I/O ring", "queues shared with the kernel (io_uring(7))"),
        ("/anon_hugepage (deleted)", "huge pages", "anonymous memory in huge pages (MAP_HUGETLB)"),
        ("[vvar]", "vdso", "data of the kernel for the vdso, such as the time"),
        ("[stack]", "thread stack", "stack of the first thread"),
    ] {
        let expected = (group.to_owned(), Confidence::Certain, words.to_owned());
        assert_eq!(of_name(&maps, &labels, name), expected);
    }
    // A file with this name is not memory with this name.
    let file = maps.iter().find(|row| row.name == b"/tmp/zoo64/[anon:x]").unwrap();
    assert_eq!(labels.at(file.range.start), None);
}

/// The names that these programs set: glibc's setvmaname.h, Go's runtime/mem_linux.go, Ruby,
/// bionic.
#[test]
fn names_of_programs_are_put_into_words() {
    for (name, group, words) in [
        (" glibc: malloc arena", "glibc arena", "glibc malloc: arena of a thread"),
        (" glibc: malloc", "glibc main heap", "glibc malloc: main heap or a large block"),
        (" glibc: loader malloc", "loader", "memory of the dynamic linker"),
        (" glibc: pthread stack: 1234", "thread stack", "stack of thread 1234"),
        (" glibc: pthread user stack: 12", "thread stack", "stack of thread 12"),
        (" glibc: unused stack", "thread stack", "stack of an ended thread"),
        (" glibc: fatal", "glibc", "glibc: fatal"),
        ("Go: heap", "Go heap", "Go: heap"),
        ("Go: page summary", "Go metadata", "Go: page summary"),
        ("Ruby:rb_gc_impl", "Ruby", "Ruby:rb_gc_impl"),
        ("scudo:primary", "malloc", "malloc (scudo:primary)"),
        (".bss", ".bss", ".bss: variables that begin as zero"),
        ("dalvik-main space", "Android runtime", "dalvik-main space"),
        ("mimalloc", "mimalloc", "mimalloc: memory"),
    ] {
        let row = format!("7f0000000000-7f0000021000 rw-p 00000000 00:00 0   [anon:{name}]\n");
        let (maps, labels) = labels(row.as_bytes());
        let found = of_name(&maps, &labels, &format!("[anon:{name}]"));
        assert_eq!(found, (group.to_owned(), Confidence::Certain, words.to_owned()));
    }
}

/// The names of devices, sockets and events, which say less than their usual use.
#[test]
fn names_of_devices_and_sockets_are_put_into_words() {
    let check = |perms: &str, offset: u64, end: u64, name: &str, group: &str, words: &str| {
        let row = format!("7f0000000000-{end:x} {perms} {offset:08x} 00:06 5        {name}\n");
        let (maps, labels) = labels(row.as_bytes());
        let expected = (group.to_owned(), Confidence::Certain, words.to_owned());
        assert_eq!(of_name(&maps, &labels, name), expected, "{row}");
    };
    let (page, pages) = (0x7f00_0000_1000, 0x7f00_0002_1000);
    for (name, group, words) in [
        ("/dev/nvidiactl", "GPU", "memory or registers for an NVIDIA GPU"),
        ("/dev/nvidia0", "GPU", "memory or registers for an NVIDIA GPU"),
        ("/dev/dri/renderD128", "GPU", "memory for a GPU (DRM)"),
        ("/dev/kfd", "GPU", "memory or registers for an AMD GPU (KFD)"),
        ("/dev/mali0", "GPU", "memory for a Mali GPU"),
        ("/dev/kgsl-3d0", "GPU", "memory for an Adreno GPU"),
        ("/dev/dma_heap/system", "DMA buffer", "buffer shared with devices (DMA-BUF)"),
        ("/dmabuf:", "DMA buffer", "buffer shared with devices (DMA-BUF)"),
        ("/dev/vfio/9", "device", "registers or memory of a device passed through (VFIO)"),
        ("/dev/uio0", "device", "registers or memory of a device (UIO)"),
        ("/dev/infiniband/uverbs0", "device", "queues or registers of an RDMA device"),
        ("/dev/video0", "device", "buffers of a video device (V4L2)"),
        ("/dev/snd/pcmC0D0p", "device", "buffers or state of a sound device (ALSA)"),
        ("/dev/binder", "binder", "data that other processes sent (Android's binder)"),
        ("/dev/mem", "device", "physical addresses (/dev/mem)"),
        (
            "socket:[81]",
            "socket memory",
            "memory of a socket, such as a ring of packets (packet(7))",
        ),
        ("anon_inode:[perf_event]", "perf ring", "ring of events of perf_event_open(2)"),
    ] {
        check("rw-s", 0, pages, name, group, words);
    }
    // What the program wrote to it is not zero.
    let zero = "memory that begins as zero (/dev/zero)";
    check("rw-p", 0, pages, "/dev/zero", "anonymous", zero);
    let perf = "anon_inode:[perf_event]";
    check("r--s", 0, page, perf, "perf event", "control page of perf_event_open(2)");
    let trace = "trace data of perf_event_open(2) (AUX area)";
    check("rw-s", 0x20_0000, pages, perf, "perf event", trace);
}

/// A name that only begins like that of a device is another one; some directories of /dev have files.
#[test]
fn names_that_begin_like_those_of_devices_say_nothing() {
    for (name, kind) in [
        ("/dev/memfrag", "device"),
        ("/dev/mem_notify", "device"),
        ("/dev/zeroconf.shm", "device"),
        ("/dev/videobuf-heap", "device"),
        ("/dev/binder_pool", "device"),
        ("/dev/uio-x", "device"),
        ("/dev/__properties__/u:object_r:debug_prop:s0", "file"),
        ("/dev/hugepages1G/libvirt/ram0", "file"),
        ("/dev/cgroup_info/cgroup.rc", "file"),
        ("/dev/.lxc/rootfs/x.so", "file"),
        ("/dev/hugepages1G", "device"),
    ] {
        let row = format!("7f0000000000-7f0000001000 rw-s 00000000 00:06 5        {name}\n");
        let (maps, labels) = labels(row.as_bytes());
        assert_eq!(maps.get(0).unwrap().kind().word(), kind, "{name}");
        assert_eq!(labels.at(0x7f00_0000_0000), None, "{name}");
    }
    let numbered = "7f0000000000-7f0000001000 rw-s 00000000 00:06 5        /dev/video12\n";
    let (maps, labels) = labels(numbered.as_bytes());
    assert_eq!(of_name(&maps, &labels, "/dev/video12").0, "device");
}

/// The size of a page is not known from a text; a ring has one page more than a power of two.
#[test]
fn a_control_page_of_perf_may_have_64_kib() {
    let group = |size: u64, page_size: u64| {
        let row = format!(
            "7f0000000000-{:x} rw-s 00000000 00:0e 5 anon_inode:[perf_event]\n",
            0x7f00_0000_0000 + size
        );
        let maps = Maps::parse(row.as_bytes()).unwrap();
        let facts = with!(Facts::default(), page_size = page_size);
        Labels::read(&maps, &facts, None).iter().next().unwrap().label.group.to_string()
    };
    let all =
        [(4096, 0), (65536, 0), (65536, 65536), (16384, 0)].map(|(size, page)| group(size, page));
    assert_eq!(all, ["perf event"; 4]);
    let all = [(8192, 0), (69632, 0), (65536 * 3, 65536), (12288, 4096)]
        .map(|(size, page)| group(size, page));
    assert_eq!(all, ["perf ring"; 4]);
}

/// Kernels of Linux 2.6 showed the pages for system calls without permissions or a name.
#[test]
fn pages_for_system_calls_are_known_by_their_addresses() {
    let check = |row: &str, expected: Option<(Confidence, &str)>| {
        let maps =
            Maps::parse(format!("1000-2000 r-xp 00000000 fe:00 7 /a\n{row}\n").as_bytes()).unwrap();
        let labels = Labels::read(&maps, &Facts::default(), None);
        let at = maps.iter().nth(1).unwrap().range.start;
        let found = labels.at(at).map(|part| (part.label.confidence, part.label.text.as_str()));
        assert_eq!(found, expected, "{row}");
    };
    let vdso = "system calls that need no kernel, from the kernel (vdso(7))";
    let old = "the old place of the vdso, the same in every process";
    check("ffffe000-fffff000 r-xp ffffe000 00:00 0 ", Some((Confidence::Likely, vdso)));
    check("ffffe000-fffff000 ---p 00000000 00:00 0 ", Some((Confidence::Likely, vdso)));
    check("ffffe000-fffff000 ---p 00000000 00:00 0 [vdso]", Some((Confidence::Certain, vdso)));
    for name in ["", "[vdso]", "[vsyscall]"] {
        let row = format!("ffffffffff600000-ffffffffffe00000 ---p 00000000 00:00 0 {name}");
        check(&row, Some((Confidence::Certain, old)));
    }
    // A program of 64 bits may map anything there.
    let above =
        "ffffe000-fffff000 ---p 00000000 00:00 0 \n7f0000000000-7f0000001000 r-xp 0 fe:00 8 /b";
    check(above, None);
}

/// Each kind of name is set by a call of its own, and one by the kernel.
#[test]
fn the_evidence_of_a_name_is_who_gave_it() {
    let of = |name: &str, device: &str| {
        let row = format!("7f0000000000-7f0000021000 rw-s 00000000 {device} 5        {name}\n");
        let (_, labels) = labels(row.as_bytes());
        labels.at(0x7f00_0000_0000).unwrap().label.because.clone()
    };
    let anonymous = "the program named it so (PR_SET_VMA_ANON_NAME)";
    assert_eq!(of("[anon_shmem:pool]", "00:01"), anonymous);
    assert_eq!(of("/dev/ashmem/pool (deleted)", "00:05"), "the program named it so (ashmem)");
    assert_eq!(of("[page size compat]", "00:00"), "the kernel calls it so");
    assert_eq!(of("/dev/zero (deleted)", "00:01"), "the kernel calls it so");
}

#[test]
fn shared_memory_has_no_child_processes_for_certain() {
    let row = b"7f0000000000-7f0000021000 rw-s 00000000 00:01 5        /dev/zero (deleted)\n";
    let (_, labels) = labels(row);
    let text = &labels.at(0x7f00_0000_0000).unwrap().label.text;
    assert_eq!(text, "anonymous memory that child processes would share (MAP_SHARED)");
}

#[test]
fn a_text_alone_shows_shapes() {
    let text = b"\
7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \n\
7f0000021000-7f0004000000 ---p 00000000 00:00 0 \n\
7f1000000000-7f1040000000 rw-p 00000000 00:00 0 \n\
7f2000000000-7f2040000000 ---p 00000000 00:00 0 \n\
7f2050000000-7f2050001000 ---p 00000000 00:00 0 \n\
7f2050001000-7f2050801000 rw-p 00000000 00:00 0 \n\
7f3000000000-7f3000200000 r-xp 00000000 fe:00 9                          /lib/libc.so.6\n\
7f3000200000-7f3000203000 rw-p 00000000 00:10 10                         anon_inode:kvm-vcpu:0\n";
    let (_, labels) = labels(text);
    let at = |address| {
        let label = &labels.at(address).unwrap().label;
        (label.group.to_string(), label.confidence)
    };
    assert_eq!(at(0x7f00_0000_0000), ("glibc arena".to_owned(), Confidence::Likely));
    assert_eq!(at(0x7f00_0002_1000), ("glibc arena reserve".to_owned(), Confidence::Likely));
    assert_eq!(at(0x7f20_0000_0000), ("inaccessible".to_owned(), Confidence::Certain));
    assert_eq!(at(0x7f30_0020_0000), ("KVM".to_owned(), Confidence::Certain));
    // Less than certain: a program may have more memory than its guest.
    assert_eq!(at(0x7f10_0000_0000).1, Confidence::Guess);
}

/// Chromium 156 on x86-64: by chance a table of pointers lies directly below the guard of V8's
/// sandbox.
#[test]
fn neighbours_of_v8s_sandbox() {
    for below in [
        "",
        "7e60e0000000-7e60e0010000 r--p 00000000 00:00 0 \n\
         7e60e0010000-7e60e0020000 rw-p 00000000 00:00 0 \n\
         7e60e0020000-7e6100000000 ---p 00000000 00:00 0 \n",
    ] {
        let text = format!(
            "55fbd7114000-55fbe5233000 r-xp 00000000 fe:00 9 /usr/lib/chromium/chromium\n{below}\
             7e6100000000-7e7100000000 ---p 00000000 00:00 0 \n\
             7e7100000000-7e7100010000 r--p 00000000 00:00 0 \n\
             7e7100010000-7e7400004000 ---p 00000000 00:00 0 \n\
             7e7400004000-7e7400404000 rw-p 00000000 00:00 0 \n\
             7e7400404000-7fb900000000 ---p 00000000 00:00 0 \n"
        );
        let (_, labels) = labels(text.as_bytes());
        let group = |address| labels.at(address).unwrap().label.group.to_string();
        assert_eq!(group(0x7e70_0000_0000), "V8 sandbox");
        assert_eq!(group(0x7e71_0000_0000), "V8 heap");
        assert_eq!(group(0x7e71_8000_0000), "V8 heap");
        assert_eq!(group(0x7e74_0000_4000), "V8 sandbox");
        assert_eq!(group(0x7e75_0000_0000), "V8 sandbox");
        if !below.is_empty() {
            assert_eq!(group(0x7e60_e001_0000), "V8 pointer table");
            assert_eq!(group(0x7e60_f000_0000), "V8 pointer table");
        }
    }
}

/// A runtime's reservation has parts that look like heaps, besides others.
#[test]
fn parts_of_a_reservation_are_no_heaps() {
    let libc =
        "7f9000000000-7f9000200000 r-xp 00000000 fe:00 9                    /lib/libc.so.6\n";
    let groups = |text: &str, at: &[u64]| -> Vec<Option<String>> {
        let (_, labels) = labels(format!("{text}{libc}").as_bytes());
        at.iter().map(|&at| labels.at(at).map(|part| part.label.group.to_string())).collect()
    };
    let is_arena = |text: &str, at: u64| groups(text, &[at]) == [Some("glibc arena".to_owned())];
    // Used memory that ends at a possible heap end, with a much larger reserve after it.
    let large = "7f1000000000-7f1018000000 rw-p 00000000 00:00 0 \n\
                 7f1018000000-7f1a00000000 ---p 00000000 00:00 0 \n";
    assert!(!is_arena(large, 0x7f10_0000_0000));
    // An accessible part in the middle with the shape of a heap.
    let middle = "7f1000000000-7f1010000000 ---p 00000000 00:00 0 \n\
                  7f1010000000-7f1012000000 rw-p 00000000 00:00 0 \n\
                  7f1012000000-7f1014000000 ---p 00000000 00:00 0 \n\
                  7f1014000000-7f1016000000 rw-p 00000000 00:00 0 \n\
                  7f1016000000-7f1018000000 ---p 00000000 00:00 0 \n";
    assert!(!is_arena(middle, 0x7f10_1000_0000));
    assert!(!is_arena(middle, 0x7f10_1400_0000));
    // Parts before one that does not end at a heap end.
    let begins = "7f1000000000-7f1002000000 rw-p 00000000 00:00 0 \n\
                  7f1002000000-7f1004000000 ---p 00000000 00:00 0 \n\
                  7f1004000000-7f1005000000 rw-p 00000000 00:00 0 \n\
                  7f1005000000-7f1006000000 ---p 00000000 00:00 0 \n\
                  7f1006000000-7f1008000000 rw-p 00000000 00:00 0 \n";
    assert!(!is_arena(begins, 0x7f10_0000_0000));
    // Adjacent arenas, one with a full heap, with a stack and its guard above them and another
    // reservation above that.
    let arenas = "7f1000000000-7f1000021000 rw-p 00000000 00:00 0 \n\
                  7f1000021000-7f1004000000 ---p 00000000 00:00 0 \n\
                  7f1004000000-7f1008000000 rw-p 00000000 00:00 0 \n\
                  7f1008000000-7f1008100000 rw-p 00000000 00:00 0 \n\
                  7f1008100000-7f100c001000 ---p 00000000 00:00 0 \n\
                  7f100c001000-7f100c801000 rw-p 00000000 00:00 0 \n\
                  7f100c801000-7f1800000000 ---p 00000000 00:00 0 \n";
    for at in [0x7f10_0000_0000, 0x7f10_0400_0000, 0x7f10_0800_0000] {
        assert!(is_arena(arenas, at), "{at:x}");
    }
    assert!(!is_arena(arenas, 0x7f10_0c00_1000));
    // A full heap above another.
    let above = "7f1000000000-7f1000021000 rw-p 00000000 00:00 0 \n\
                 7f1000021000-7f1004000000 ---p 00000000 00:00 0 \n\
                 7f1004000000-7f1008000000 rw-p 00000000 00:00 0 \n";
    assert!(is_arena(above, 0x7f10_0400_0000));
}

/// Memory that contains only these words.
struct Words(Vec<(u64, u64)>);

impl Memory for Words {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        for (index, chunk) in bytes.chunks_mut(8).enumerate() {
            let at = address.wrapping_add(index as u64 * 8);
            let word = self.0.iter().find(|(place, _)| *place == at).map_or(0, |(_, word)| *word);
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        bytes.len()
    }
}

/// V8 places its pages at random, so two of them are sometimes near each other. Their headers
/// identify them, and other memory nearby has no such headers.
#[test]
fn pages_of_v8_that_are_near_each_other_are_known_by_their_headers() {
    const PAGE: u64 = 256 << 10;
    let (near, alone) = ([0x313b_ea74_0000, 0x313b_eab8_0000], 0x1234_5678_0000);
    let other = 0x313b_eb40_0000;
    let row = |start: u64| format!("{start:x}-{:x} rw-p 00000000 00:00 0 \n", start + PAGE);
    let text: String = [alone, near[0], near[1], other].map(row).concat();
    let maps = Maps::parse(text.as_bytes()).unwrap();
    let symbols = vec![("v8dbg_APIObjectType", 0x1000)];
    let images = vec![with!(ImageFacts::default(), symbols = symbols)];
    let machine = Some(Machine::X86_64);
    let facts = with!(Facts::default(), page_size = 4096, machine = machine, images = images);
    // The header of V8 11: size, flags, heap, and the bounds of the objects.
    let header = |at: u64| {
        let words = [PAGE, 0x10, 0x7000_0000, at + 0x100, at + PAGE];
        (0..).map(move |index| at + 8 * index).zip(words)
    };
    let words = Words([alone, near[0], near[1]].into_iter().flat_map(header).collect());
    let heap = |labels: &Labels, start: u64| {
        let part = labels.at(start).filter(|part| part.label.group == "V8 heap")?;
        assert_eq!(part.range, AddressRange::new(start, start + PAGE));
        Some(part.label.confidence)
    };
    let deep = Labels::read(&maps, &facts, Some(&words));
    for start in [alone, near[0], near[1]] {
        assert_eq!(heap(&deep, start), Some(Confidence::Certain), "{start:x}");
    }
    assert_eq!(heap(&deep, other), None);
    // Without memory, only the address identifies them.
    let labels = Labels::read(&maps, &facts, None);
    assert_eq!(heap(&labels, alone), Some(Confidence::Likely));
    for start in [near[0], near[1], other] {
        assert_eq!(heap(&labels, start), None, "{start:x}");
    }
}

/// A program that Rust made.
fn rust_image(name: &str) -> ImageFacts {
    let symbols = vec![("rust_eh_personality", 0x1000)];
    with!(ImageFacts::default(), name = name.as_bytes().to_vec(), symbols = symbols)
}

/// The rows of a Rust program: a signal stack of this size with its guard, directly below a
/// library.
fn signal_stack(page: u64, size: u64) -> (String, AddressRange, AddressRange) {
    let library = 0x7f00_0010_0000_u64;
    let stack = AddressRange::new(library - size, library);
    let guard = AddressRange::new(stack.start - page, stack.start);
    let text = format!(
        "{:x}-{:x} ---p 00000000 00:00 0 \n\
         {:x}-{:x} rw-p 00000000 00:00 0 \n\
         {library:x}-7f0000200000 r--p 00000000 fe:00 9                    /lib/libc.so.6\n\
         7f0000200000-7f0000300000 r-xp 00100000 fe:00 9                    /lib/libc.so.6\n\
         7f0000300000-7f0000400000 r-xp 00000000 fe:00 10                   /lib/libstd-1.so\n",
        guard.start, guard.end, stack.start, stack.end
    );
    (text, guard, stack)
}

/// `AT_MINSIGSTKSZ` of old kernels, of processors without AVX-512, with it, and with AMX, and other
/// possible sizes.
#[test]
fn signal_stacks_have_the_size_that_the_processor_needs() {
    const AT_MINSIGSTKSZ: u64 = 51;
    for (page, least, size) in [
        (4096, None, 8192),
        (4096, Some(1776), 8192),
        (4096, Some(3632), 8192),
        (4096, Some(8192), 8192),
        (4096, Some(8193), 12288),
        (4096, Some(11952), 12288),
        (4096, Some(12288), 12288),
        (4096, Some(16 << 10), 16384),
        (4096, Some(20000), 20480),
        (65536, Some(11952), 65536),
    ] {
        let entries = least.map(|least| (AT_MINSIGSTKSZ, least)).into_iter().collect();
        let auxv = with!(Auxv::default(), entries = entries);
        let images = vec![rust_image("/lib/libc.so.6")];
        let facts = with!(Facts::default(), page_size = page, auxv = auxv, images = images);
        let is_labelled = |size: u64| {
            let (text, guard, stack) = signal_stack(page, size);
            let labels = Labels::read(&Maps::parse(text.as_bytes()).unwrap(), &facts, None);
            let group = |range: AddressRange| {
                let part = labels.at(range.start)?;
                Some((part.range, part.label.group.to_string(), part.label.confidence))
            };
            let expected = |range, group: &str| Some((range, group.to_owned(), Confidence::Likely));
            group(guard) == expected(guard, "guard")
                && group(stack) == expected(stack, "alternate signal stack")
        };
        assert!(is_labelled(size), "{least:?}");
        // A page less or more does not match.
        assert!(!is_labelled(size - page) && !is_labelled(size + page), "{least:?}");
    }
}

/// sodium_malloc and its like put guards below and above memory for secrets.
#[test]
fn memory_between_guards_need_not_be_a_signal_stack() {
    let start = 0x7f00_0000_0000_u64;
    let rust =
        "7f8000000000-7f8000100000 r-xp 00000000 fe:00 10                   /lib/libstd-1.so\n";
    let row = |from: u64, to: u64, perms: &str| {
        format!("{:x}-{:x} {perms} 00000000 00:00 0 \n", start + from, start + to)
    };
    let stack = [row(0x1000, 0x2000, "---p"), row(0x2000, 0x4000, "rw-p")].concat();
    let guard = row(0x4000, 0x5000, "---p");
    let of = |rows: &[&str], threads: u32| {
        let thread = |tid| with!(ThreadFacts::default(), tid = tid);
        let threads = (1..=threads).map(thread).collect();
        let images = vec![rust_image("/lib/libstd-1.so")];
        let facts = with!(Facts::default(), page_size = 4096, threads = threads, images = images);
        let text = format!("{}{rust}", rows.concat());
        let labels = Labels::read(&Maps::parse(text.as_bytes()).unwrap(), &facts, None);
        let label = &labels.at(start + 0x2000).unwrap().label;
        assert_eq!(label.group, "alternate signal stack");
        label.confidence
    };
    assert_eq!(of(&[&stack], 1), Confidence::Likely);
    assert_eq!(of(&[&stack, &guard], 1), Confidence::Guess);
    assert_eq!(of(&[&row(0, 0x1000, "r--p"), &stack], 1), Confidence::Guess);
    // The guard above is of the thread's own stack, or of another thread's signal stack.
    let own = row(0x5000, 0x20_5000, "rw-p");
    assert_eq!(of(&[&stack, &guard, &own], 2), Confidence::Likely);
    let next = row(0x5000, 0x7000, "rw-p");
    assert_eq!(of(&[&stack, &guard, &next], 2), Confidence::Likely);
    assert_eq!(of(&[&stack, &guard, &next], 1), Confidence::Guess);
}

/// Memory in which every word has a value that some structure expects.
struct Lies {
    rows: Vec<AddressRange>,
    seed: u64,
}

impl Lies {
    fn word(&self, address: u64) -> u64 {
        let mixed = (address ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let row = self.rows.get((mixed >> 40) as usize % self.rows.len().max(1));
        let row = row.copied().unwrap_or_default();
        match mixed >> 60 {
            0..=2 => address,
            3 => address.wrapping_sub(16),
            4..=6 => row.start,
            7 => row.start.wrapping_add(0x2c0),
            8 => row.size() | 2,
            9 => mixed >> 44,
            10 => u64::MAX,
            11 => row.end.wrapping_sub(mixed & 0xfff),
            _ => 0,
        }
    }
}

impl Memory for Lies {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let length = bytes.len().min(4096);
        let bytes = &mut bytes[..length];
        for (index, chunk) in bytes.chunks_mut(8).enumerate() {
            let word = self.word(address.wrapping_add(index as u64 * 8)).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        length
    }
}

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        (any::<u64>(), 0..64u32).prop_map(|(n, shift)| n >> shift),
        (0..64u64).prop_map(|n| 0x7f00_0000_0000 + (n << 26)),
        (0..1024u64).prop_map(|n| 0x7f00_0000_0000 + (n << 12)),
        Just(u64::MAX),
    ]
}

fn range() -> impl Strategy<Value = AddressRange> {
    let size = prop_oneof![Just(4096u64), Just(64 << 20), Just(8 << 20), any::<u64>()];
    (address(), size).prop_map(|(start, size)| AddressRange::new(start, start.saturating_add(size)))
}

fn maps() -> impl Strategy<Value = Maps> {
    let names: [&[u8]; 11] = [
        b"[anon: glibc: malloc arena]",
        b"",
        b"",
        b"",
        b"[heap]",
        b"[stack]",
        b"/lib/libmimalloc.so.2",
        b"/lib/libjemalloc.so",
        b"/usr/lib/musl/lib/libc.so",
        b"/memfd:java_heap (deleted)",
        b"/jdk/lib/server/classes.jsa",
    ];
    let perms: [&[u8; 4]; 4] = [b"rw-p", b"rw-p", b"---p", b"r-xp"];
    let row = (range(), prop::sample::select(names.to_vec()), prop::sample::select(perms.to_vec()));
    (vec(row.prop_map(|(range, name, perms)| (range, name.to_vec(), *perms)), 0..12), any::<bool>())
        .prop_map(|(mut rows, sorted)| {
            if sorted {
                rows.sort_by_key(|(range, ..)| range.start);
            }
            let mut maps = Maps::default();
            for (range, name, perms) in &rows {
                maps.push(&vmatlas_maps::Mapping {
                    range: *range,
                    perms: vmatlas_maps::Perms(*perms),
                    offset: 0,
                    device: vmatlas_maps::Device::new(0, 0),
                    inode: u64::from(name.starts_with(b"/")),
                    name,
                });
            }
            maps
        })
}

fn facts() -> impl Strategy<Value = Facts> {
    // Some runtimes are recognised by names, others by symbols and sections.
    let names: [&[u8]; 4] =
        [b"/lib/libx.so", b"/jdk/lib/libjvm.so", b"/usr/bin/chromium", b"/lib/libopenblas.so.0"];
    let image = (
        prop::sample::select(names.to_vec()),
        vec((range(), address(), any::<bool>()), 0..3),
        prop::option::of(range()),
        vec((prop::sample::select(WANTED_SYMBOLS), address()), 0..24),
    );
    let image = image.prop_map(|(name, segments, relro, symbols)| {
        with!(
            ImageFacts::default(),
            name = name.to_vec(),
            sections = vec![(".gopclntab".to_owned(), AddressRange::new(0, 4096))],
            segments = segments,
            relro = relro,
            symbols = symbols
        )
    });
    let thread = (any::<u32>(), prop::option::of(address()), prop::option::of(address()));
    let thread = thread.prop_map(|(tid, stack_pointer, thread_pointer)| {
        with!(
            ThreadFacts::default(),
            tid = tid,
            stack_pointer = stack_pointer,
            thread_pointer = thread_pointer
        )
    });
    let machine = prop_oneof![Just(Machine::X86_64), Just(Machine::X86), Just(Machine::S390x)];
    let numbers = (prop::option::of(address()), prop::option::of(address()), address(), 0..3u64);
    let auxv = vec((0..60u64, address()), 0..5)
        .prop_map(|entries| with!(Auxv::default(), entries = entries));
    (vec(image, 0..3), vec(thread, 0..4), vec(range(), 0..4), machine, any::<bool>(), numbers, auxv)
        .prop_map(|(images, threads, guards, machine, is_32, numbers, auxv)| {
            with!(
                Facts::default(),
                page_size = [0, 4096, 3][numbers.3 as usize],
                word_size = Some(if is_32 { WordSize::Bits32 } else { WordSize::Bits64 }),
                machine = Some(machine),
                pid = Some(1),
                threads = threads,
                auxv = auxv,
                start_brk = numbers.0,
                stack_limit = numbers.1,
                images = images,
                guards = guards
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// For any facts and memory, labels do not panic, are sorted and do not overlap.
    #[test]
    fn lies_cost_labels_and_nothing_else(maps in maps(), facts in facts(), seed: u64, deep: bool) {
        let lies = Lies { rows: maps.iter().map(|row| row.range).collect(), seed };
        let labels = Labels::read(&maps, &facts, deep.then_some(&lies as &dyn Memory));
        let mut end = 0;
        for part in labels.iter() {
            prop_assert!(part.range.start >= end && part.range.start < part.range.end);
            prop_assert!(!part.label.text.is_empty() && !part.label.because.is_empty());
            end = part.range.end;
        }
    }
}

/// The labels of rows in a range that a call with this stack mapped, innermost first; each function
/// is `NAME FILE`.
fn labels_of_origin(
    call: &'static str,
    stack: &[&str],
    range: AddressRange,
    rows: &str,
) -> Vec<vmatlas_explain::label::Label> {
    let function = |text: &&str| {
        let (name, file) = text.split_once(' ').unwrap();
        with!(FunctionFacts::default(), name = name.to_owned(), file = file.to_owned())
    };
    let stack = stack.iter().map(function).collect();
    let origin =
        with!(OriginFacts::default(), range = range, call = call, event = 7, stack = stack);
    let maps = Maps::parse(rows.as_bytes()).unwrap();
    let facts = with!(Facts::default(), origins = vec![origin]);
    let labels = Labels::read(&maps, &facts, None);
    labels.within(range).iter().map(|part| part.label.clone()).collect()
}

/// Group, confidence and text of a row of 8 MiB mapped by a call with this stack.
fn of_origin(call: &'static str, stack: &[&str]) -> Option<(String, Confidence, String)> {
    let range = AddressRange::new(0x7f00_0000_1000, 0x7f00_0080_1000);
    let row = "7f0000001000-7f0000801000 rw-p 00000000 00:00 0 \n";
    let label = labels_of_origin(call, stack, range, row).into_iter().next()?;
    Some((label.group.to_string(), label.confidence, label.text))
}

#[test]
fn call_stacks_of_a_recording_say_what_memory_is_for() {
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    let check = |stack: &[&str], group: &str, text: &str| {
        let stack: Vec<String> = stack.iter().map(|frame| frame.replace("LIBC", libc)).collect();
        let stack: Vec<&str> = stack.iter().map(String::as_str).collect();
        let expected = Some((group.to_owned(), Confidence::Certain, text.to_owned()));
        assert_eq!(of_origin("mmap", &stack), expected, "{stack:?}");
    };
    let stack_of = "stack of a thread, for start of server";
    check(
        &[
            "__GI___mmap64 LIBC",
            "allocate_stack LIBC",
            "__pthread_create_2_1 LIBC",
            "start /bin/server",
        ],
        "thread stack",
        stack_of,
    );
    // Without its own symbols, as usually installed, and without shared libraries.
    check(
        &["mmap LIBC", " LIBC", "pthread_create@@GLIBC_2.34 LIBC", "start /bin/server"],
        "thread stack",
        stack_of,
    );
    check(
        &["__mmap /bin/server", "__pthread_create /bin/server", "start /bin/server"],
        "thread stack",
        stack_of,
    );
    let block = "block of malloc in a mapping of 8 MiB, for read_all of server";
    check(
        &["mmap LIBC", "sysmalloc_mmap LIBC", "__libc_calloc LIBC", "read_all /bin/server"],
        "large malloc block",
        block,
    );
    check(
        &[
            "mmap64 /bin/server",
            "sysmalloc /bin/server",
            "malloc /bin/server",
            "read_all /bin/server",
        ],
        "large malloc block",
        block,
    );
    check(
        &["mmap LIBC", "new_heap LIBC", "arena_get2 LIBC", "malloc LIBC", "work /bin/server"],
        "glibc arena",
        "glibc malloc: arena of a thread",
    );
    check(
        &["mmap /lib64/ld-linux-x86-64.so.2", "malloc /lib64/ld-linux-x86-64.so.2"],
        "loader",
        "memory of the dynamic linker",
    );
    let own = "mapped by make_pool of server";
    check(&["mmap LIBC", "make_pool /bin/server"], "mapped by the program", own);
    check(&["make_pool /bin/server"], "mapped by the program", own);
    // A static program, with the compiler's variants of functions.
    check(
        &[
            "__mmap /bin/server",
            "sysmalloc_mmap.constprop.0 /bin/server",
            "sysmalloc /bin/server",
            "_int_malloc.part.0 /bin/server",
            "__libc_malloc /bin/server",
            "read_all /bin/server",
        ],
        "large malloc block",
        block,
    );
    // A program without symbols called mmap itself, so malloc did not.
    let found = of_origin("mmap", &["mmap /lib/libc.so.6", " /bin/server", " /bin/server"]);
    let expected = ("mapped by the program", Confidence::Likely, "mapped by server");
    let found = found.as_ref().map(|(group, sure, text)| (group.as_str(), *sure, text.as_str()));
    assert_eq!(found, Some(expected));
    // In a static one the function may be the C library's.
    assert_eq!(of_origin("mmap", &[" /bin/server", " /bin/server"]), None);
}

/// pthread_create allocates, and allocators create threads: the innermost of the two maps memory.
/// The names are those of strace without symbols, which prints the nearest exported function.
#[test]
fn the_innermost_function_of_a_call_stack_maps_the_memory() {
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    let loader = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
    let words = |stack: &[&str], start: u64, used: u64, size: u64| {
        let files = |frame: &&str| frame.replace("LIBC", libc).replace("LD", loader);
        let stack: Vec<String> = stack.iter().map(files).collect();
        let stack: Vec<&str> = stack.iter().map(String::as_str).collect();
        let range = AddressRange::new(start, start + size);
        let mut rows = format!("{start:x}-{:x} rw-p 00000000 00:00 0 \n", start + used);
        if used < size {
            let (from, to) = (range.start + used, range.end);
            rows.push_str(&format!("{from:x}-{to:x} ---p 00000000 00:00 0 \n"));
        }
        let labels = labels_of_origin("mmap", &stack, range, &rows);
        let words = labels.into_iter().map(|label| (label.group.to_string(), label.because));
        words.collect::<Vec<(String, String)>>()
    };
    let of = |group: &str, because: &str| {
        (group.to_owned(), format!("event 7 of the recording: {because}"))
    };
    const HEAP: u64 = 64 << 20;
    let start = 0x7fac_4c00_0000;
    // The first allocation of a thread, by pthread_create: an arena and no stack.
    let first = [
        "__mmap LIBC",
        "timer_settime LIBC",
        "__default_morecore LIBC",
        "__libc_calloc LIBC",
        "_dl_mcount LD",
        "_dl_allocate_tls LD",
        "pthread_create LIBC",
        "a /bin/server",
    ];
    let arena = "malloc mapped it for an arena";
    let expected = [of("glibc arena", arena), of("glibc arena reserve", arena)];
    assert_eq!(words(&first, start, 0x21000, HEAP), expected);
    // An allocator that starts a thread of its own.
    let thread = [
        "mmap LIBC",
        "pthread_create LIBC",
        "background_thread_create /lib/liballoc.so",
        "malloc /lib/liballoc.so",
        "work /bin/server",
    ];
    let create = "pthread_create called mmap";
    let stack = [
        of("thread stack", create),
        of("guard", &format!("{create}, and no access to it is permitted")),
    ];
    assert_eq!(words(&thread, 0x7f00_0000_1000, 8 << 20, (8 << 20) + 4096), stack);
    // A large block is no arena by its address alone.
    let block = ["mmap LIBC", "sysmalloc LIBC", "malloc LIBC", "read_all /bin/server"];
    for (at, size, group) in [
        (start, 8 << 20, "large malloc block"),
        (start + 4096, HEAP, "large malloc block"),
        (start, HEAP, "glibc arena"),
        (start, 2 * HEAP, "glibc arena"),
    ] {
        assert_eq!(words(&block, at, size, size)[0].0, group, "{at:x} {size:x}");
    }
    // The main heap, where the program break cannot grow.
    let more = ["mmap LIBC", "sysmalloc_mmap_fallback LIBC", "sysmalloc LIBC", "malloc LIBC"];
    let because = "malloc mapped it because the program break cannot grow";
    assert_eq!(words(&more, start + 4096, 1 << 20, 1 << 20), [of("glibc main heap", because)]);
}

/// musl's malloc maps groups of small blocks, each for many calls.
#[test]
fn a_mapping_of_musls_malloc_may_have_many_blocks() {
    let stack = ["mmap /lib/ld-musl-x86_64.so.1", "malloc /lib/ld-musl-x86_64.so.1", "f /bin/tool"];
    for (size, group) in [(0x3000, "musl malloc"), (0x40000, "large malloc block")] {
        let range = AddressRange::new(0x7f00_0000_0000, 0x7f00_0000_0000 + size);
        let rows = format!(
            "{:x}-{:x} rw-p 00000000 00:00 0 \n\
             7f1000000000-7f1000100000 r-xp 00000000 fe:00 9     /lib/ld-musl-x86_64.so.1\n",
            range.start, range.end
        );
        let labels = labels_of_origin("mmap", &stack, range, &rows);
        assert_eq!(labels[0].group, group, "{labels:?}");
    }
}

#[test]
fn call_stacks_that_say_nothing_label_nothing() {
    let nothing: [(&'static str, &[&str]); 6] = [
        ("mmap", &[]),
        // A function of the C library that maps memory for itself.
        ("mmap", &["mmap /lib/libc.so.6", "opendir /lib/libc.so.6", "list /bin/server"]),
        // The name of the calling function is unknown.
        ("mmap", &["mmap /lib/libc.so.6", " /bin/server", "main /bin/server"]),
        // The break belongs to many calls, and remapped memory existed before the call.
        ("brk", &["brk /lib/libc.so.6", "malloc /lib/libc.so.6", "main /bin/server"]),
        ("mremap", &["mremap /lib/libc.so.6", "realloc /lib/libc.so.6", "main /bin/server"]),
        // The memory has its own recogniser.
        ("mmap", &["mmap /lib/libc.so.6", "pages_map /usr/lib/libjemalloc.so.2"]),
    ];
    for (call, stack) in nothing {
        let found = of_origin(call, stack);
        let is_certain = found.as_ref().is_some_and(|(_, sure, _)| *sure == Confidence::Certain);
        assert!(!is_certain, "{call} {stack:?}: {found:?}");
    }
}

/// The kernel's flags say what unnamed memory is for; other rows with such letters are none of it.
#[test]
fn flags_of_smaps_name_memory() {
    let row = |start: u64, name: &str, flags: &str| {
        let end = start + 0x1000;
        format!("{start:x}-{end:x} rw-p 00000000 00:00 0 {name}\nRss: 4 kB\nVmFlags: {flags} \n")
    };
    let text = [
        row(0x7f00_0000_1000, "", "rd wr mr mw me ss nr"),
        row(0x7f00_0000_3000, "", "rd wr mr mw me dp"),
        row(0x7f00_0000_5000, "", "rd wr mr mw me ac sd"),
        row(0x7f00_0000_7000, "                         [heap]", "rd wr ss"),
    ];
    let maps = Maps::parse(text.concat().as_bytes()).unwrap();
    let labels = Labels::read(&maps, &Facts::default(), None);
    let group_at = |address| labels.at(address).map(|found| &*found.label.group);
    assert_eq!(group_at(0x7f00_0000_1000), Some("shadow stack"));
    assert_eq!(group_at(0x7f00_0000_3000), Some("droppable memory"));
    assert_ne!(group_at(0x7f00_0000_5000), Some("shadow stack"));
    assert_ne!(group_at(0x7f00_0000_7000), Some("shadow stack"));
}

/// Huge pages of hugetlbfs, which only the name of anonymous memory shows.
#[test]
fn huge_pages_are_known_by_their_flag() {
    for (name, flags, expected) in [
        (
            "/anon_hugepage (deleted)",
            "rd wr mr mw me de ht",
            Some("anonymous memory in huge pages of 2 MiB (MAP_HUGETLB)"),
        ),
        ("/memfd:ram (deleted)", "rd wr sh mr ht", Some("memfd ram, in huge pages of 2 MiB")),
        ("/mnt/huge/f", "rd wr sh mr ht", Some("file of hugetlbfs, in huge pages of 2 MiB")),
        (
            "/SYSV00000000 (deleted)",
            "rd wr sh mr ht",
            Some("System V shared memory, segment 9, key 0x0 (shmget(2)), in huge pages of 2 MiB"),
        ),
        ("/memfd:ram (deleted)", "rd wr sh mr", None),
    ] {
        let text = format!(
            "7f0000000000-7f0000400000 rw-s 00000000 00:11 9        {name}\n\
             Size:               4096 kB\nKernelPageSize:     2048 kB\n\
             Rss:                   0 kB\nVmFlags: {flags} \n"
        );
        let maps = Maps::parse(text.as_bytes()).unwrap();
        let labels = Labels::read(&maps, &Facts::default(), None);
        let found = labels.at(0x7f00_0000_0000).map(|part| &part.label);
        assert_eq!(found.map(|label| label.text.as_str()), expected, "{name}");
        assert!(found.is_none_or(|label| label.group == "huge pages"));
    }
}
