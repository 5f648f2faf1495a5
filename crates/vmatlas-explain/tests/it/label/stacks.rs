//! Stacks of threads, and memory that resembles them.

use super::*;

const MIB: u64 = 1 << 20;
/// Memory with a guard below it.
const GUARD: u64 = 0x7f10_0000_0000;
const STACK: u64 = GUARD + 0x1000;
const FIRST: &str = "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0          [stack]\n";

/// A guard and a stack of this size above it.
fn rows(guard: u64, size: u64) -> String {
    let stack = guard + 0x1000;
    format!(
        "{guard:x}-{stack:x} ---p 00000000 00:00 0 \n{stack:x}-{:x} rw-p 00000000 00:00 0 \n",
        stack + size
    )
}

fn thread(tid: u32, stack_pointer: u64) -> ThreadFacts {
    with!(ThreadFacts::default(), tid = tid, stack_pointer = Some(stack_pointer))
}

/// A process whose first thread is 1.
fn facts(threads: Vec<ThreadFacts>) -> Facts {
    with!(
        Facts::default(),
        page_size = 4096,
        pid = Some(1),
        machine = Some(Machine::X86_64),
        stack_limit = Some(8 * MIB),
        threads = threads
    )
}

/// Text and confidence at an address.
#[track_caller]
fn at(text: &str, facts: &Facts, memory: Option<&dyn Memory>, at: u64) -> (String, Confidence) {
    let labels = Labels::read(&Maps::parse(text.as_bytes()).unwrap(), facts, memory);
    let part = labels.at(at).unwrap_or_else(|| panic!("no label at {at:x} of\n{text}"));
    (part.label.text.clone(), part.label.confidence)
}

/// The memory of a `struct pthread` with its stack and a guard of a page.
fn pthread(block: u64, tid: u64, guard: u64, size: u64) -> Words {
    Words(vec![
        (block, block),
        (block + 0x10, block),
        (block + 0x2d0, tid),
        (block + 0x690, guard),
        (block + 0x698, size),
        (block + 0x6a0, 0x1000),
    ])
}

/// A thread that nobody joins leaves its stack, which no new thread gets.
#[test]
fn the_stack_of_an_ended_thread_need_not_be_kept_for_another() {
    let size = 8 * MIB;
    let block = STACK + size - 0x1000;
    // A thread of this process whose control block lies there names it.
    let one = with!(thread(7, FIRST_POINTER), thread_pointer = Some(block));
    let facts = facts(vec![one]);
    let text = format!("{}{FIRST}", rows(GUARD, size));
    let of = |tid, address| {
        let words = pthread(block, tid, GUARD, size + 0x1000);
        at(&text, &facts, Some(&words), address)
    };
    let certain = |text: &str| (text.to_owned(), Confidence::Certain);
    assert_eq!(of(0, STACK), certain("unused stack of a thread, 8 MiB"));
    assert_eq!(of(0, GUARD), certain("guard below the unused stack of a thread"));
    // Joined.
    let kept = certain("unused stack of 8 MiB, kept for a thread to come");
    assert_eq!(of(0xffff_ffff, STACK), kept);
    assert_eq!(of(7, STACK), certain("stack of thread 7, 8 MiB"));
    assert_eq!(of(7, GUARD), certain("guard below the stack of thread 7"));
}
const FIRST_POINTER: u64 = 0x7ffc_0002_0000;

/// Handlers run on alternate stacks, coroutines on their own.
#[test]
fn a_thread_need_not_run_on_its_own_stack() {
    let size = 64 << 10;
    let check = |thread: ThreadFacts, size: u64, own: Option<&str>| {
        let text = format!("{}{FIRST}", rows(GUARD, size));
        let facts = facts(vec![thread]);
        let (words, confidence) = at(&text, &facts, None, STACK);
        let (guard, of_guard) = at(&text, &facts, None, GUARD);
        assert_eq!(confidence, of_guard);
        match own {
            Some(own) => {
                assert_eq!(confidence, Confidence::Likely);
                assert!(words.starts_with(&format!("{own}, 8 KiB of ")), "{words}");
                assert_eq!(guard, format!("guard below the {own}"));
            }
            None => {
                assert_eq!(confidence, Confidence::Guess);
                assert!(words.starts_with("memory on which thread "), "{words}");
                assert!(guard.starts_with("guard below the stack on which thread "), "{guard}");
            }
        }
    };
    let near_end = |size| thread(2, STACK + size - 0x2000);
    check(near_end(size), size, Some("stack on which thread 2 runs"));
    check(near_end(8 * MIB), 8 * MIB, Some("stack of thread 2"));
    // The kernel made the stack of the first thread.
    check(thread(1, STACK + size - 0x2000), size, None);
    // No thread has as small a stack.
    check(thread(2, STACK + 0x1000), 0x2000, None);
    // The control block is at the end of a thread's own stack.
    let with = |block| with!(thread(2, STACK + size - 0x2000), thread_pointer = Some(block));
    check(with(STACK + size - 0x900), size, Some("stack of thread 2"));
    check(with(0x7f20_0000_0900), size, None);
}

/// Coroutines with stacks of the usual size, beside the threads' own.
#[test]
fn a_stack_of_the_usual_size_may_be_of_a_coroutine() {
    let at_of = |number: u64| STACK + number * 16 * MIB;
    let stacks = |sizes: &[u64]| {
        let rows = (0..).zip(sizes).map(|(number, size)| rows(at_of(number) - 0x1000, *size));
        format!("{}{FIRST}", rows.collect::<String>())
    };
    let first = thread(1, FIRST_POINTER);
    let on = |tid, number| thread(tid, at_of(number) + 8 * MIB - 0x2000);
    let runs = |tid| with!(ThreadFacts::default(), tid = tid);
    let of = |sizes: &[u64], threads: &[ThreadFacts]| {
        let threads = [std::slice::from_ref(&first), threads].concat();
        at(&stacks(sizes), &facts(threads), None, STACK).0
    };
    let is_own = |text: &str| {
        assert!(text.starts_with("stack o") && text.ends_with(", 8 KiB of 8 MiB used"), "{text}");
        text.starts_with("stack of thread 2,")
    };
    // As many stacks as threads.
    assert!(is_own(&of(&[8 * MIB], &[on(2, 0)])));
    assert!(is_own(&of(&[8 * MIB, 8 * MIB], &[on(2, 0), on(3, 1)])));
    assert!(is_own(&of(&[8 * MIB, MIB], &[on(2, 0), runs(3)])));
    // One more, of any size, may be the thread's own.
    assert!(!is_own(&of(&[8 * MIB, MIB], &[on(2, 0)])));
    assert!(!is_own(&of(&[8 * MIB, 8 * MIB, MIB], &[on(2, 0), on(3, 1)])));
    // No thread has as small a stack.
    assert!(is_own(&of(&[8 * MIB, 0x2000], &[on(2, 0)])));
}

/// The C library knows the thread's stack, so that no other need be its own.
#[test]
fn a_thread_with_a_known_stack_needs_no_other() {
    let own = STACK + 32 * MIB;
    let block = own + MIB - 0x1000;
    let text = [rows(GUARD, 8 * MIB), rows(own - 0x1000, MIB), FIRST.to_owned()].concat();
    let memory = pthread(block, 2, own - 0x1000, MIB + 0x1000);
    let second = with!(thread(2, STACK + MIB), thread_pointer = Some(block));
    for pointer in [Some(STACK + MIB), None] {
        let second = with!(second.clone(), stack_pointer = pointer);
        let facts = facts(vec![thread(1, FIRST_POINTER), second]);
        let (words, confidence) = at(&text, &facts, Some(&memory), own);
        assert_eq!((words.as_str(), confidence), ("stack of thread 2, 1 MiB", Confidence::Certain));
        let (words, confidence) = at(&text, &facts, Some(&memory), STACK);
        let doubt = "stack of a thread that runs or has ended, or of a coroutine, 8 MiB";
        assert_eq!((words.as_str(), confidence), (doubt, Confidence::Guess));
    }
}

/// A Rust program that overflows its stack runs its handler on the alternate stack.
#[test]
fn an_alternate_signal_stack_is_known_while_a_handler_runs_on_it() {
    let rust = "7f2000000000-7f2000100000 r-xp 00000000 fe:00 10           /lib/libstd-1.so\n";
    for tid in [1, 2] {
        let text = format!("{}{rust}{FIRST}", rows(GUARD, 0x2000));
        let images = vec![rust_image("/lib/libstd-1.so")];
        let facts = with!(facts(vec![thread(tid, STACK + 0x1200)]), images = images);
        let expected = "alternate signal stack of a thread (sigaltstack)".to_owned();
        assert_eq!(at(&text, &facts, None, STACK), (expected, Confidence::Likely));
    }
}

/// A library in Rust makes no signal stacks in a program in C, whose coroutines may have small ones.
#[test]
fn a_signal_stack_is_a_guess_where_only_a_library_is_rust() {
    let files = "5500000000-5500001000 r-xp 00000000 fe:00 9           /bin/app\n\
                 7f2000000000-7f2000100000 r-xp 00000000 fe:00 10           /lib/librl.so\n";
    let text = format!("{}{files}{FIRST}", rows(GUARD, 0x2000));
    let of = |name| {
        let facts = with!(facts(vec![thread(1, FIRST_POINTER)]), images = vec![rust_image(name)]);
        at(&text, &facts, None, STACK).1
    };
    assert_eq!((of("/bin/app"), of("/lib/librl.so")), (Confidence::Likely, Confidence::Guess));
}

/// A process that another thread than the first one forked runs on the stack of that one.
#[test]
fn the_first_stack_is_not_of_a_thread_that_runs_elsewhere() {
    let text = format!("{}{FIRST}", rows(GUARD, 8 * MIB));
    let of = |thread| at(&text, &facts(vec![thread]), None, FIRST_POINTER).0;
    assert_eq!(of(thread(1, STACK + MIB)), "stack on which the program began");
    assert_eq!(of(with!(ThreadFacts::default(), tid = 1)), "stack of the first thread");
    assert!(of(thread(1, FIRST_POINTER)).starts_with("stack of thread 1, "));
}

/// Linux 3.4 to 4.4 calls the stack of a thread so in its own map.
#[test]
fn the_stack_above_a_guard_and_below_a_file_is_of_any_thread() {
    let file =
        |start: &str| format!("{start}000-{start}800 r-xp 00000000 fe:00 9     /lib/libc.so\n");
    let stack =
        rows(GUARD, 8 * MIB).replace("rw-p 00000000 00:00 0 ", "rw-p 00000000 00:00 0 [stack]");
    let of = |text: String| at(&text, &Facts::default(), None, STACK).0;
    assert_eq!(of(format!("{stack}{}", file("7f2000000"))), "stack of a thread");
    assert_eq!(of(format!("{}{stack}", file("7f0000000"))), "stack of the first thread");
    let without_guard = stack.lines().nth(1).unwrap().to_owned() + "\n";
    assert_eq!(of(without_guard + &file("7f2000000")), "stack of the first thread");
}

/// Stacks of coroutines with the default size of a thread's stack.
#[test]
fn equal_stacks_without_a_thread_that_needs_one_may_be_of_coroutines() {
    let size = 8 * MIB;
    let stacks: String = (0..5).map(|n| rows(GUARD + n * 16 * MIB, size)).collect();
    let text = format!("{stacks}{FIRST}");
    let of = |threads| at(&text, &facts(threads), None, STACK);
    let doubt = "stack of a thread that runs or has ended, or of a coroutine, 8 MiB";
    let doubt = (doubt.to_owned(), Confidence::Guess);
    assert_eq!(of(vec![thread(1, FIRST_POINTER)]), doubt);
    // The first thread runs, and its stack is known all the same.
    let runs = |tid| with!(ThreadFacts::default(), tid = tid);
    assert_eq!(of(vec![runs(1)]), doubt);
    // One is of this thread, and others may be of ended ones.
    let (words, confidence) = of(vec![thread(1, FIRST_POINTER), runs(2)]);
    assert_eq!(words, "stack of a thread that runs or has ended, 8 MiB");
    assert_eq!(confidence, Confidence::Likely);
    // A guard is not more certain than the stack that it names.
    let guard = |facts: &Facts| at(&text, facts, None, GUARD).1;
    assert_eq!(guard(&facts(vec![thread(1, FIRST_POINTER)])), Confidence::Guess);
    let light = AddressRange::new(STACK, STACK + 0x1000);
    let mut facts = facts(vec![thread(2, STACK + MIB)]);
    facts.guards = vec![light];
    assert_eq!(at(&text, &facts, None, light.start).1, Confidence::Likely);
    // Larger than any stack of a thread.
    facts.stack_limit = Some(4 * MIB);
    let (words, _) = at(&text, &facts, None, light.start);
    assert_eq!(words, "lightweight guard below the stack of thread 2");
}

/// The kernel says that pages are a guard, but not whose.
#[test]
fn lightweight_guards_without_a_stack_name_none() {
    let text = format!("{STACK:x}-{:x} rw-p 00000000 00:00 0 \n", STACK + MIB);
    let guards = vec![AddressRange::new(STACK + 0x1000, STACK + 0x2000)];
    let facts = with!(Facts::default(), page_size = 4096, guards = guards);
    let expected = ("lightweight guard pages".to_owned(), Confidence::Certain);
    assert_eq!(at(&text, &facts, None, STACK + 0x1000), expected);
}
