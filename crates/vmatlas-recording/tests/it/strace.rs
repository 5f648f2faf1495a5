//! Logs of strace: small ones for each feature, and a real one.

use proptest::prelude::*;
use std::fmt::Write as _;
use std::time::Duration;
use vmatlas_maps::{Device, Perms};
use vmatlas_recording::Tid;
use vmatlas_recording::strace::{
    ElfFacts, FileFacts, KernelMapping, Lookup, Program, Reader, Replay, Replayed, looks_like_log,
};
use vmatlas_space::{KernelProfile, LoadSegment, Prot};

fn profile() -> KernelProfile {
    KernelProfile::of("6.18".parse().unwrap())
}

fn replay(log: &str) -> Replayed {
    let mut nothing = ();
    let mut replay = Replay::new(profile(), &mut nothing);
    replay.push(log.as_bytes());
    replay.finish()
}

/// The rows of every process without the fixed ones, and the missing facts.
fn shown(log: &Replayed) -> String {
    let mut text = String::new();
    for process in &log.processes {
        let program = String::from_utf8_lossy(&process.program);
        let ended = if process.ended.is_some() { " ended" } else { "" };
        writeln!(text, "{} {program}{ended}", process.pid).unwrap();
        let rows = process.space.memory.maps();
        for row in rows.iter().filter(|row| row.name != b"[vsyscall]") {
            let name = row.name.escape_ascii();
            let line = format!(
                "{} {} {:x} {}:{} {name}",
                row.range, row.perms, row.offset, row.device, row.inode
            );
            writeln!(text, "  {line}").unwrap();
        }
        for fact in &process.missing {
            writeln!(text, "  ! {fact}").unwrap();
        }
    }
    for warning in &log.warnings {
        writeln!(text, "! {warning}").unwrap();
    }
    text
}

macro_rules! check {
    ($log:expr, @$expect:literal) => {
        insta::assert_snapshot!(shown(&replay($log)), @$expect)
    };
}

#[test]
fn memory_calls() {
    check!(
        "7 execve(\"/bin/x\", [\"x\"], 0x7ffe /* 1 var */) = 0
7 brk(NULL) = 0x555555580000
7 brk(0x5555555a1000) = 0x5555555a1000
7 mmap(NULL, 12288, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
7 mprotect(0x7f0000001000, 4096, PROT_NONE) = 0
7 mremap(0x7f0000002000, 4096, 8192, MREMAP_MAYMOVE) = 0x7f0000010000
7 munmap(0x7f0000000000, 4096) = 0
7 madvise(0x7f0000010000, 4096, MADV_DONTFORK) = 0
7 prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 0x7f0000011000, 4096, \"a b\") = 0
7 mprotect(0x1000, 4096, PROT_NONE) = -1 ENOMEM (Cannot allocate memory)
",
        @"
    7 /bin/x
      555555580000-5555555a1000 rw-p 0 00:00:0 [heap]
      7f0000001000-7f0000002000 ---p 0 00:00:0 
      7f0000010000-7f0000011000 rw-p 0 00:00:0 
      7f0000011000-7f0000012000 rw-p 0 00:00:0 [anon:a b]
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
    "
    );
}

#[test]
fn files_are_followed_by_descriptors_and_names() {
    check!(
        r#"openat(AT_FDCWD</tmp>, "a", O_RDWR|O_CREAT, 0600) = 3
fstat(3, {st_dev=makedev(0xfe, 0x1), st_ino=42, st_mode=S_IFREG|0600, ...}) = 0
dup2(3, 9) = 9
fcntl(9, F_DUPFD_CLOEXEC, 10) = 10
close(3) = 0
mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 9, 0) = 0x10000
mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 10, 0x1000) = 0x11000
openat(AT_FDCWD, "a", O_RDONLY) = 3
mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0x2000) = 0x12000
open("./dir//../b", O_RDONLY) = 4</real/b>
mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 4, 0) = 0x20000
rename("/tmp/a", "/tmp/c d") = 0
unlinkat(AT_FDCWD, "/real/b", 0) = 0
mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 77, 0) = 0x30000
memfd_create("m", MFD_CLOEXEC) = 5
mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 5, 0) = 0x40000
mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x50000
mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 8</gone>(deleted), 0) = 0x60000
"#,
        @"
    0 
      00010000-00012000 r--p 0 fe:01:42 /tmp/c d
      00012000-00013000 r--s 2000 fe:01:42 /tmp/c d
      00020000-00021000 r--p 0 00:00:0 /real/b (deleted)
      00030000-00031000 r--p 0 00:00:0 ?
      00040000-00041000 rw-s 0 00:01:0 /memfd:m (deleted)
      00050000-00051000 rw-s 0 00:01:0 /dev/zero (deleted)
      00060000-00061000 r--p 0 00:00:0 /gone (deleted)
      ! the log does not show the mappings from before its start: those rows are missing
      ! line 14: the log does not show which file descriptor 77 refers to: shown as ?
      ! the log does not show device and inode of /real/b (deleted) before it is mapped: its rows show no inode
      ! the log does not show device and inode of /memfd:m (deleted) before it is mapped: its rows show no inode
      ! the log does not show device and inode of /dev/zero (deleted) before it is mapped: its rows show no inode
      ! the log does not show device and inode of /gone (deleted) before it is mapped: its rows show no inode
    "
    );
}

#[test]
fn processes_and_threads() {
    check!(
        r#"7 execve("/bin/x", ["x"], 0x7ffe /* 1 var */) = 0
7 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000
7 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD <unfinished ...>
8 munmap(0x10000, 4096) = 0
7 <... clone resumed>, child_tidptr=0x7f) = 8
7 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD, stack=0x7f} => {parent_tid=[9]}, 88) = 9
9 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x20000
9 +++ exited with 0 +++
7 vfork( <unfinished ...>
10 execve("/bin/y", ["y"], 0x7ffe /* 1 var */ <unfinished ...>
7 <... vfork resumed>) = 10
10 <... execve resumed>) = 0
10 mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x30000
10 +++ killed by SIGKILL +++
"#,
        @"
    7 /bin/x
      00010000-00011000 r--p 0 00:00:0 
      00020000-00021000 rw-p 0 00:00:0 
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
    8 /bin/x
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
    10 /bin/y ended
      00030000-00031000 --xp 0 00:00:0 
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/y, and the file has none: no rows
    "
    );
}

/// A log of `strace` without `-f`: tasks that share the memory have no lines, and the rows of
/// children are not known.
#[test]
fn tasks_that_strace_does_not_follow() {
    check!(
        r#"execve("/bin/x", ["x"], 0x7ffe /* 1 var */) = 0
clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 8
clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD, stack=0x7f} => {parent_tid=[9]}, 88) = 9
clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=0x7f}, 88) = 10
clone(child_stack=0x7f, flags=CLONE_VM|SIGCHLD) = 11
mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x20000
+++ exited with 0 +++
"#,
        @"
    0 /bin/x ended
      00020000-00021000 rw-p 0 00:00:0 
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
      ! the log has no line of task 9, which shares this memory: what it mapped and unmapped is not shown (strace -f follows it)
      ! the log has no line of task 11, which shares this memory: what it mapped and unmapped is not shown (strace -f follows it)
    "
    );
    // On a terminal strace -f names tasks as soon as there are two.
    let followed = r#"execve("/bin/x", ["x"], 0x7ffe /* 1 var */) = 0
clone(child_stack=0x7f, flags=CLONE_VM|SIGCHLD) = 11
strace: Process 11 attached
[pid     7] mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x20000
[pid    11] munmap(0x20000, 4096) = 0
"#;
    for lines in 3..=5 {
        let mut nothing = ();
        let mut replay = Replay::new(profile(), &mut nothing).until_line(lines);
        replay.push(followed.as_bytes());
        let text = shown(&replay.finish());
        assert!(!text.contains("no line of task"), "{lines}: {text}");
    }
}

/// Without the calls that make tasks, a task may be a process or a thread.
#[test]
fn tasks_whose_maker_the_log_does_not_show() {
    check!(
        r#"7 execve("/bin/x", ["x"], 0x7ffe /* 1 var */) = 0
8 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x20000
9 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x30000
9 execve("/bin/y", ["y"], 0x7ffe /* 1 var */) = 0
"#,
        @"
    7 /bin/x
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
      ! the log does not show whether task 8 is a thread of this process: if so, what it mapped is missing here
    8 
      00020000-00021000 r--p 0 00:00:0 
      ! the log does not show the mappings from before its start: those rows are missing
      ! the log does not show whether task 8 is a process or a thread (strace -f -e trace=%memory,%process from the start shows it): if it is a thread, what other threads mapped is missing here
    9 /bin/y
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/y, and the file has none: no rows
      ! the log does not show whether task 8 is a thread of this process: if so, what it mapped is missing here
    "
    );
    let alone = shown(&replay("7 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, -1, 0) = 0x20000\n"));
    assert!(!alone.contains("thread"), "{alone}");
}

#[test]
fn a_thread_that_executes_becomes_the_process() {
    check!(
        r#"7 execve("/bin/x", ["x"], 0x7ffe /* 1 var */) = 0
7 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 9
9 execve("/bin/y", ["y"], 0x7ffe <unfinished ...>
7 +++ superseded by execve in pid 9 +++
7 <... execve resumed>) = 0
7 mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x30000
"#,
        @"
    7 /bin/y
      00030000-00031000 --xp 0 00:00:0 
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/y, and the file has none: no rows
    "
    );
}

#[test]
fn a_log_of_a_terminal() {
    check!(
        r#"execve("/bin/x", ["x"], 0x7ffe /* 1 var */) = 0
mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000
clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLDstrace: Process 8 attached
, child_tidptr=0x7f04ae18fa10) = 8
[pid     7] munmap(0x10000, 4096 <unfinished ...>
[pid     8] mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x20000
[pid     7] <... munmap resumed>) = 0
[pid     8] +++ exited with 0 +++
mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x30000
"#,
        @"
    7 /bin/x
      00030000-00031000 ---p 0 00:00:0 
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
    8 /bin/x ended
      00010000-00011000 r--p 0 00:00:0 
      00020000-00021000 ---p 0 00:00:0 
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
    "
    );
}

#[test]
fn memory_that_another_thread_gives_back_meanwhile() {
    check!(
        r#"7 execve("/bin/x", ["x"], 0x7ffe /* 1 var */) = 0
7 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 9
7 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000
7 munmap(0x10000, 4096 <unfinished ...>
9 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000
7 <... munmap resumed>) = 0
9 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000
"#,
        @"
    7 /bin/x
      00010000-00011000 rw-p 0 00:00:0 
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
      ! line 7: by the log so far, something is mapped at 10000: replaced
    "
    );
}

#[test]
fn system_v_segments_and_rarer_calls() {
    check!(
        r#"execve("/bin/x", ["x"], 0x7ffe /* 1 var */) = 0
shmget(0x1234, 5000, IPC_CREAT|0600) = 884793
shmat(884793, NULL, SHM_RDONLY) = 0x10000
shmat(884793, NULL, 0) = 0x20000
shmdt(0x20000) = 0
shmat(5, NULL, 0) = 0x30000
mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_LOCKED, -1, 0) = 0x40000
mmap(NULL, 12288, 0x3, 0x22, -1, 0) = 0x50000
mlock2(0x50000, 4096, MLOCK_ONFAULT) = 0
mbind(0x52000, 4096, MPOL_BIND, [0x00000000000001], 64, 0) = 0
mmap(NULL, 12288, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x60000
syscall_0x1ce(0x60000, 0x1000, 0, 0, 0, 0) = 0
mmap(NULL, 12288, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x70000
userfaultfd(O_CLOEXEC) = 3
ioctl(3, UFFDIO_REGISTER, {range={start=0x71000, len=0x1000}, mode=UFFDIO_REGISTER_MODE_MISSING, ioctls=0}) = 0
personality(PER_LINUX|READ_IMPLIES_EXEC) = 0 (PER_LINUX)
mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x80000
"#,
        @"
    0 /bin/x
      00010000-00012000 r--s 0 00:01:884793 /SYSV00001234 (deleted)
      00040000-00041000 rw-p 0 00:00:0 
      00050000-00051000 rw-p 0 00:00:0 
      00051000-00052000 rw-p 0 00:00:0 
      00052000-00053000 rw-p 0 00:00:0 
      00060000-00061000 rw-p 0 00:00:0 
      00061000-00063000 rw-p 0 00:00:0 
      00070000-00071000 rw-p 0 00:00:0 
      00071000-00072000 rw-p 0 00:00:0 
      00072000-00073000 rw-p 0 00:00:0 
      00080000-00081000 r-xp 0 00:00:0 
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
      ! the log does not show the size of System V segment 5: no row
    "
    );
}

#[test]
fn a_vdso_that_is_mapped_anew() {
    check!(
        r#"execve("/bin/x", ["x"], 0x7ffe /* 1 var */) = 0
arch_prctl(ARCH_SET_FS, 0x7f6b72c91740) = 0
arch_prctl(ARCH_MAP_VDSO_64, 0x10000) = 8192
arch_prctl(ARCH_MAP_VDSO_64, 0x20000) = -1 EEXIST (File exists)
"#,
        @"
    0 /bin/x
      00010000-00014000 r--p 0 00:00:0 [vvar]
      00014000-00016000 r--p 0 00:00:0 [vvar_vclock]
      00016000-00018000 r-xp 0 00:00:0 [vdso]
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
    "
    );
}

#[test]
fn bad_lines_lose_nothing_else() {
    check!(
        "execve(\"/bin/x\", [\"x\"], 0x7ffe /* 1 var */) = 0
what is this
mmap(NULL, 4096, PROT_READ
mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000
<... close resumed>) = 0
munmap(0x20000, 4096) = 0
mprotect(0x20000, 4096, PROT_READ) = 0",
        @"
    0 /bin/x
      00010000-00011000 r--p 0 00:00:0 
      ! the log does not show where [stack] is: no row
      ! the log does not show where [vdso] and its data are: no rows
      ! the log does not show the segments of /bin/x, and the file has none: no rows
      ! line 7: by the log so far, mprotect must fail with ENOMEM, and it did not: left out
    ! line 2: column 5: not a line of strace: no call begins here
    ! line 3: column 6: the arguments have no end
    ! line 5: column 1: the call that resumes here was not begun before
    "
    );
}

/// A machine with one program, whose segments are known.
struct Known;

fn facts(name: &str, inode: u64) -> FileFacts {
    FileFacts { name: name.as_bytes().to_vec(), device: Device::new(0xfe, 0), inode }
}

fn segments(numbers: &[(u64, u64, u64, u64, u64)]) -> Vec<LoadSegment> {
    let segment = |&(offset, vaddr, file_size, memory_size, prot)| LoadSegment {
        vaddr,
        memory_size,
        offset,
        file_size,
        prot: Prot::from_bits(prot),
        align: 0x1000,
    };
    numbers.iter().map(segment).collect()
}

/// The output of `readelf -lW` for the files of the log `child.log`.
impl Lookup for Known {
    fn file(&mut self, path: &[u8]) -> Option<FileFacts> {
        Some(match path {
            b"/tmp/demo/maps_at_exit.so" => facts("/tmp/demo/maps_at_exit.so", 10658145),
            b"/usr/lib/x86_64-linux-gnu/libc.so.6" => {
                facts("/usr/lib/x86_64-linux-gnu/libc.so.6", 326279)
            }
            _ => return None,
        })
    }

    fn program(&mut self, path: &[u8]) -> Option<Program> {
        if path != b"/tmp/demo/child" {
            return None;
        }
        let program = segments(&[
            (0, 0, 0x6f8, 0x6f8, 1),
            (0x1000, 0x1000, 0x1ed, 0x1ed, 5),
            (0x2000, 0x2000, 0xdc, 0xdc, 1),
            (0x2dd0, 0x3dd0, 0x268, 0x270, 3),
        ]);
        let interpreter = segments(&[
            (0, 0, 0xd58, 0xd58, 1),
            (0x1000, 0x1000, 0x25111, 0x25111, 5),
            (0x27000, 0x27000, 0x9c7c, 0x9c7c, 1),
            (0x31900, 0x31900, 0x2810, 0x29d8, 3),
        ]);
        Some(Program {
            image: ElfFacts {
                file: facts("/tmp/demo/child", 10658144),
                fixed: false,
                segments: program,
                relro: Some(0x3dd0..0x4000),
            },
            interpreter: Some(ElfFacts {
                file: facts("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 325843),
                fixed: false,
                segments: interpreter,
                relro: Some(0x31900..0x33000),
            }),
        })
    }

    fn kernel_rows(&mut self) -> Vec<KernelMapping> {
        let row = |name: &str, perms, size| KernelMapping {
            name: name.as_bytes().to_vec(),
            perms: Perms(perms),
            size,
        };
        vec![
            row("[vvar]", *b"r--p", 0x4000),
            row("[vvar_vclock]", *b"r--p", 0x2000),
            row("[vdso]", *b"r-xp", 0x2000),
        ]
    }
}

const LOG: &[u8] = include_bytes!("../../../../testdata/strace/child.log");

fn real(until: Option<Duration>) -> Replayed {
    let mut known = Known;
    let mut replay = Replay::new(profile(), &mut known);
    if let Some(until) = until {
        replay = replay.until(until);
    }
    LOG.chunks(100).for_each(|piece| replay.push(piece));
    replay.finish()
}

#[test]
fn a_real_log_gives_the_rows_that_the_kernel_showed() {
    let log = real(None);
    let kernel: [(u32, &str); 2] = [
        (18657, include_str!("../../../../testdata/strace/child-18657.maps")),
        (18658, include_str!("../../../../testdata/strace/child-18658.maps")),
    ];
    for (pid, kernel) in kernel {
        let process = log.process(pid).unwrap();
        let expected: Vec<&str> = kernel.lines().filter(|row| !row.ends_with("[stack]")).collect();
        let rows = String::from_utf8(process.space.memory.render()).unwrap();
        assert_eq!(rows.lines().collect::<Vec<_>>(), expected);
        assert_eq!(process.missing.len(), 1, "{:?}", process.missing);
        assert!(process.ended.is_some());
    }
}

#[test]
fn a_fact_from_a_later_line_holds_from_the_beginning() {
    assert!(looks_like_log(LOG));
    // Before the dynamic linker made memory read-only, which locates program and linker.
    let log = real(Some(Duration::from_micros(700)));
    let process = &log.processes[0];
    let rows = process.space.memory.maps();
    let names: Vec<&[u8]> = rows.iter().map(|row| row.name).collect();
    assert!(
        names.contains(&b"/tmp/demo/child".as_slice()) && names.contains(&b"[vdso]".as_slice())
    );
    assert!(!names.contains(&b"/usr/lib/x86_64-linux-gnu/libc.so.6".as_slice()));
    assert_eq!(process.missing.len(), 1, "{:?}", process.missing);
    assert_eq!(log.processes.len(), 1, "the child comes later");
}

#[test]
fn files_per_process_are_put_in_order() {
    let of = |pid: &str, times: bool| -> String {
        let text = String::from_utf8(LOG.to_vec()).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix(pid));
        let without = |line: &str| line.trim_start().split_once(' ').unwrap().1.to_owned() + "\n";
        let joined = |line: &str| match line {
            line if line.contains("<unfinished") => String::new(),
            line if line.contains("<... wait4 resumed>") => {
                line.replace("<... wait4 resumed>", "wait4(-1, ") + "\n"
            }
            line => line.trim_start().to_owned() + "\n",
        };
        lines
            .map(joined)
            .map(|line| if times || line.is_empty() { line } else { without(&line) })
            .collect()
    };
    for times in [true, false] {
        let (parent, child) = (of("18657", times), of("18658", times));
        let mut known = Known;
        let mut replay = Replay::new(profile(), &mut known);
        replay.push_files(&[
            (Tid::new(18658), child.as_bytes()),
            (Tid::new(18657), parent.as_bytes()),
        ]);
        let log = replay.finish();
        assert_eq!(shown(&log), shown(&real(None)), "{times}");
    }
}

#[test]
fn pieces_make_the_whole() {
    let lines = |size: usize| {
        let mut reader = Reader::default();
        let mut all = Vec::new();
        LOG.chunks(size)
            .for_each(|piece| reader.push(piece, &mut |entry| all.push(format!("{entry:?}"))));
        reader.finish(&mut |entry| all.push(format!("{entry:?}")));
        all
    };
    assert_eq!(lines(1), lines(LOG.len()));
}

#[test]
fn other_texts_are_no_logs() {
    assert!(!looks_like_log(include_bytes!("../../../../testdata/strace/child-18657.maps")));
    assert!(!looks_like_log(b""));
    assert!(!looks_like_log(b"int main(void) { f(x) = 3; }\nvoid g() {\n}\n"));
}

/// Random lines, built from parts of the syntax of strace.
fn line() -> impl Strategy<Value = String> {
    let pid =
        prop_oneof![Just("7 "), Just("8 "), Just("[pid 9] "), Just(""), Just("7<x> 10:00:00.5 ")];
    let number = || {
        prop_oneof![
            Just("0x10000".to_owned()),
            Just("0x11000".to_owned()),
            Just("4096".to_owned()),
            Just("8192".to_owned()),
            Just("0".to_owned()),
            Just("-1".to_owned()),
            Just("NULL".to_owned()),
            any::<u64>().prop_map(|n| format!("{n:#x}")),
            "3(</a>)?",
            ".{0,8}",
        ]
    };
    let call = prop_oneof![
        Just("mmap"),
        Just("munmap"),
        Just("mprotect"),
        Just("mremap"),
        Just("brk"),
        Just("madvise"),
        Just("mlock"),
        Just("clone"),
        Just("vfork"),
        Just("execve"),
        Just("shmget"),
        Just("shmat"),
        Just("shmdt"),
        Just("openat"),
        Just("close"),
        Just("dup2"),
        Just("remap_file_pages"),
        Just("mbind"),
        Just("prctl"),
        Just("rename"),
        Just("unlink"),
        Just("pkey_mprotect"),
        Just("mseal"),
    ];
    let word = prop_oneof![
        Just("PROT_READ|PROT_WRITE"),
        Just("PROT_NONE"),
        Just("MAP_PRIVATE|MAP_ANONYMOUS"),
        Just("MAP_SHARED|MAP_FIXED"),
        Just("MADV_DONTNEED"),
        Just("MADV_GUARD_INSTALL"),
        Just("MREMAP_MAYMOVE"),
        Just("flags=CLONE_VM|CLONE_THREAD"),
        Just("\"/a\""),
        Just("AT_FDCWD"),
        Just("PR_SET_VMA"),
        Just("MAP_PRIVATE|MAP_ANONYMOUS|MAP_GROWSDOWN|MAP_POPULATE|MAP_HUGETLB|63<<MAP_HUGE_SHIFT"),
    ];
    let arg = prop_oneof![number(), word.prop_map(str::to_owned)];
    let args = prop::collection::vec(arg, 0..7);
    let end = prop_oneof![
        number().prop_map(|n| format!(") = {n}")),
        Just(" <unfinished ...>".to_owned()),
        Just(") = -1 ENOMEM (x)".to_owned()),
        Just(") = ?".to_owned()),
        Just(String::new()),
    ];
    let usual = (pid, call, args, end)
        .prop_map(|(pid, call, args, end)| format!("{pid}{call}({}{end}", args.join(", ")));
    prop_oneof![
        8 => usual,
        1 => Just("7 +++ exited with 0 +++".to_owned()),
        1 => Just("7 <... mmap resumed>) = 0x10000".to_owned()),
        1 => Just("7 +++ superseded by execve in pid 8 +++".to_owned()),
        2 => "[ab]{1,2}".prop_map(|name| format!(" > /{name}({name}+0x1) [0x10]")),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn nothing_panics(lines in prop::collection::vec(line(), 0..40)) {
        makers(&replay(&lines.join("\n")));
    }
}

#[test]
fn the_own_maps_that_a_process_reads_supply_all_rows() {
    check!(
        r#"7 brk(0) = 0x5000
7 openat(AT_FDCWD, "/proc/self/maps", O_RDONLY) = 3
7 read(3, "1000-2000 r-xp 00000000 fe:00 42  /bin/x\n4000-5000 rw-p 00000000 00", 65536) = 67
7 read(3, ":00 0  [heap]\n7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0  [stack]\n", 65536) = 71
7 read(3, "", 65536) = 0
7 mprotect(0x4000, 4096, PROT_READ) = 0
8 openat(AT_FDCWD, "/proc/self/maps", O_RDONLY) = 3
8 read(3, "1000-2000 r-xp 00000000"..., 65536) = 70
8 read(3, "", 65536) = 0
"#,
        @"
    7 
      00001000-00002000 r-xp 0 fe:00:42 /bin/x
      00004000-00005000 r--p 0 00:00:0 [heap]
      7ffffffde000-7ffffffff000 rw-p 0 00:00:0 [stack]
      ! the log does not show whether task 7 is a process or a thread (strace -f -e trace=%memory,%process from the start shows it): if it is a thread, what other threads mapped is missing here
    8 
      ! the log does not show the mappings from before its start: those rows are missing
      ! the log does not show whether task 8 is a process or a thread (strace -f -e trace=%memory,%process from the start shows it): if it is a thread, what other threads mapped is missing here
    "
    );
}

/// Every piece of every row with its origin, after checking the invariants.
fn makers(log: &Replayed) -> String {
    let mut text = String::new();
    for process in &log.processes {
        writeln!(text, "{} {}", process.pid, process.comm.escape_ascii()).unwrap();
        let rows = process.space.memory.maps();
        for row in rows.iter().filter(|row| row.name != b"[vsyscall]") {
            let pieces = process.space.origins_of(row.range);
            let mut from = row.range.start;
            for (range, origin) in pieces {
                assert_eq!(range.start, from, "no byte without an origin, none with two");
                from = range.end;
                let task = &log.makers.tasks[origin.task.index()];
                let frames: Vec<String> = log
                    .makers
                    .frames_of(origin.stack)
                    .map(|frame| String::from_utf8_lossy(&frame.function).into_owned())
                    .collect();
                let line = format!(
                    "  {range} {} {} #{} {}.{:03} {} {} {}",
                    origin.how(),
                    origin.maker.name(),
                    origin.event,
                    origin.time_ns / 1_000_000_000,
                    origin.time_ns / 1_000_000 % 1000,
                    task.tid,
                    task.comm.escape_ascii(),
                    frames.join(" < ")
                );
                writeln!(text, "{}", line.trim_end()).unwrap();
            }
            assert_eq!(from, row.range.end, "no byte without an origin");
        }
    }
    text
}

/// A log with the call stacks of `strace -k`.
const MADE: &str = "7 1700000000.000000 execve(\"/bin/x\", [\"x\"], 0x7ffe /* 1 var */) = 0
 > /lib/ld.so(_start+0x0) [0x1ab70]
7 1700000000.100000 brk(NULL) = 0x555555580000
7 1700000000.200000 brk(0x555555582000) = 0x555555582000
 > /lib/libc.so(brk+0xb) [0x1000]
 > /bin/x(grow+0x10) [0x1100]
 > /bin/x(main+0x10) [0x1200]
7 1700000000.300000 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000002000
 > /bin/x(a+0x10) [0x1300]
 > /bin/x(main+0x20) [0x1210]
7 1700000000.400000 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
 > /bin/x(b+0x10) [0x1400]
 > /bin/x(main+0x30) [0x1220]
7 1700000000.500000 munmap(0x7f0000001000, 4096) = 0
 > /bin/x(main+0x40) [0x1230]
7 1700000000.600000 prctl(PR_SET_NAME, \"y\") = 0
7 1700000000.700000 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD, stack=0}, 88) = 8
8 1700000000.800000 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0 <unfinished ...>
7 1700000000.810000 mremap(0x7f0000003000, 4096, 8192, MREMAP_MAYMOVE) = 0x7f0000010000
 > /bin/x(c+0x10) [0x1500]
8 1700000000.820000 <... mmap resumed>) = 0x7f0000020000
 > /bin/x(t+0x10) [0x1600]
7 1700000000.900000 fork() = 9
9 1700000001.000000 mmap(0x7f0000010000, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x7f0000010000
";

#[test]
fn every_byte_has_the_origin_that_the_log_shows() {
    insta::assert_snapshot!(makers(&replay(MADE)), @"
    7 y
      555555580000-555555582000 recorded brk #4 0.200 7 x brk < grow < main
      7f0000000000-7f0000001000 recorded mmap #11 0.400 7 x b < main
      7f0000002000-7f0000003000 recorded mmap #8 0.300 7 x a < main
      7f0000010000-7f0000011000 recorded mmap #8 0.300 7 x a < main
      7f0000011000-7f0000012000 recorded mremap #19 0.810 7 y c
      7f0000020000-7f0000021000 recorded mmap #21 0.820 8 y t
    9 y
      555555580000-555555582000 inherited brk #4 0.200 7 x brk < grow < main
      7f0000000000-7f0000001000 inherited mmap #11 0.400 7 x b < main
      7f0000002000-7f0000003000 inherited mmap #8 0.300 7 x a < main
      7f0000010000-7f0000011000 recorded mmap #24 1.000 9 y
      7f0000011000-7f0000012000 inherited mremap #19 0.810 7 y c
      7f0000020000-7f0000021000 inherited mmap #21 0.820 8 y t
    ");
}

#[test]
fn origins_at_a_line_of_a_log() {
    let mut nothing = ();
    let mut replay = Replay::new(profile(), &mut nothing).until_line(8);
    replay.push(MADE.as_bytes());
    assert!(replay.is_done());
    let log = replay.finish();
    assert_eq!(log.lines, 8);
    insta::assert_snapshot!(makers(&log), @"
    7 x
      555555580000-555555582000 recorded brk #4 0.200 7 x brk < grow < main
      7f0000002000-7f0000004000 recorded mmap #8 0.300 7 x a < main
    ");
}

#[test]
fn what_was_there_before_the_log_and_what_no_call_made() {
    let maps = "00400000-00401000 r-xp 00000000 fe:00 7 /bin/x\\n\
        00401000-00402000 rw-p 00000000 00:00 0 \\n\
        7f0000000000-7f0000002000 rw-p 00000000 00:00 0 \\n\
        7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\\n";
    let length = maps.replace("\\n", "\n").len();
    let rest = format!(
        "openat(AT_FDCWD, \"/proc/self/maps\", O_RDONLY) = 3
mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000
read(3, \"{maps}\", 4096) = {length}
read(3, \"\", 4096) = 0
"
    );
    insta::assert_snapshot!(makers(&replay(&rest)), @"
    0 
      00400000-00401000 before-recording before the recording #0 0.000 0
      00401000-00402000 before-recording before the recording #0 0.000 0
      7f0000000000-7f0000001000 before-recording before the recording #0 0.000 0
      7f0000001000-7f0000002000 recorded mmap #2 0.000 0
      7ffffffde000-7ffffffff000 before-recording before the recording #0 0.000 0
    ");
    let executed = format!("execve(\"/bin/x\", [\"x\"], 0x7ffe /* 1 var */) = 0\n{rest}");
    insta::assert_snapshot!(makers(&replay(&executed)), @"
    0 x
      00400000-00401000 exec execve #1 0.000 0 x
      00401000-00402000 exec execve #1 0.000 0 x
      7f0000000000-7f0000001000 unseen unseen #0 0.000 0
      7f0000001000-7f0000002000 recorded mmap #3 0.000 0 x
      7ffffffde000-7ffffffff000 exec execve #1 0.000 0 x
    ");
}

#[test]
fn programs_and_what_is_placed_later_are_of_execve() {
    for until in [None, Some(Duration::from_micros(700))] {
        let log = real(until);
        let text = makers(&log);
        assert!(text.contains("exec execve #1"), "{text}");
        assert!(!text.contains("unseen"), "{text}");
    }
}
