// stacks: threads of Rust's standard library. Prints `altstack START END` of each, what
// sigaltstack(2) says, `tid START` of an address on its stack, then `ready`.
use std::ffi::{c_int, c_void};
use std::io::Write as _;
use std::ptr::{null, null_mut};
use std::sync::{Arc, Barrier};
use std::thread;

#[repr(C)]
struct Stack {
    start: *mut c_void,
    flags: c_int,
    size: usize,
}

unsafe extern "C" {
    fn sigaltstack(new: *const Stack, old: *mut Stack) -> c_int;
    fn gettid() -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
}

fn tell() {
    let mut stack = Stack { start: null_mut(), flags: 0, size: 0 };
    assert_eq!(unsafe { sigaltstack(null(), &mut stack) }, 0);
    let start = stack.start as usize;
    println!("altstack {start:#x} {:#x}", start + stack.size);
    println!("thread {} {:p}", unsafe { gettid() }, &raw const stack);
}

fn main() {
    // PR_SET_PDEATHSIG, SIGKILL
    unsafe { prctl(1, 9) };
    tell();
    let started = Arc::new(Barrier::new(4));
    for number in 0..3 {
        let started = Arc::clone(&started);
        let name = format!("rusty-{number}");
        let run = move || {
            let large = vec![1u8; 3_000_000];
            let small: Vec<_> = (0..10_000).map(|n| Box::new([n; 25])).collect();
            tell();
            started.wait();
            loop {
                thread::park();
                println!("{} {}", large.len(), small.len());
            }
        };
        thread::Builder::new().name(name).spawn(run).unwrap();
    }
    started.wait();
    println!("ready");
    std::io::stdout().flush().unwrap();
    loop {
        thread::park();
    }
}
