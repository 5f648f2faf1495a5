// A Rust program whose functions make mappings through its allocator and its threads. It has no
// last words, for it says while it lives who made what: "made START-END FUNCTION TID".

use std::thread;

const SIZE: usize = 1 << 20;

/// Memory of its own mapping: glibc's malloc maps what is that large.
#[inline(never)]
fn maker_a() -> Vec<u8> {
    let made = vec![1; SIZE];
    std::hint::black_box(made)
}

#[inline(never)]
fn maker_b() -> Vec<u8> {
    let mut made = Vec::with_capacity(SIZE);
    made.resize(SIZE, 2);
    std::hint::black_box(made)
}

/// Grows by mremap(2).
#[inline(never)]
fn grower(bytes: &mut Vec<u8>) {
    bytes.reserve_exact(3 * SIZE);
    bytes.resize(4 * SIZE, 3);
    std::hint::black_box(bytes);
}

fn tid() -> String {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().to_owned()
}

fn made(bytes: &[u8], function: &str, tid: &str) {
    let start = bytes.as_ptr() as usize;
    println!("made {start:x}-{:x} {function} {tid}", start + bytes.len());
}

fn main() {
    let first = maker_a();
    let (second, by) = thread::spawn(|| (maker_b(), tid())).join().unwrap();
    let mut third = maker_a();
    grower(&mut third);
    made(&first, "maker_a", &tid());
    made(&second, "maker_b", &by);
    made(&third[..SIZE / 2], "maker_a", &tid());
    made(&third[2 * SIZE..], "grower", &tid());
    // It stays mapped.
    std::process::exit(0);
}
