//! Crashes in the way that its first argument names. Used by crates/vmatlas-cli/tests/it/explain.rs.

use std::hint::black_box;

#[repr(C)]
struct Node {
    name: [u8; 8],
    next: *mut Node,
    rest: [u64; 2],
}

#[inline(never)]
fn null_field() {
    let node: *mut Node = black_box(std::ptr::null_mut());
    unsafe { (&raw mut (*node).rest[1]).write_volatile(1) }
}

#[inline(never)]
fn write_static() {
    static TEXT: &str = "a literal";
    let text = black_box(TEXT.as_ptr()).cast_mut();
    unsafe { text.write_volatile(b'A') }
}

#[inline(never)]
#[allow(unconditional_recursion)]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    deeper(depth + 1) + frame[3]
}

fn overflow_thread() {
    std::thread::spawn(|| black_box(deeper(0))).join().unwrap();
}

fn text_pointer() {
    let mut node = Node { name: [0; 8], next: std::ptr::null_mut(), rest: [0; 2] };
    let name = b"a name: overlong";
    unsafe {
        // Into the next field.
        black_box(&raw mut node).cast::<[u8; 16]>().write(*name);
        black_box((&raw const (*black_box(&raw const node)).next).read().read_volatile().name);
    }
}

fn main() {
    match std::env::args().nth(1).unwrap_or_default().as_str() {
        "null_field" => null_field(),
        "write_static" => write_static(),
        "overflow" => drop(black_box(deeper(0))),
        "overflow_thread" => overflow_thread(),
        "panic" => panic!("as asked"),
        "text_pointer" => text_pointer(),
        _ => eprintln!("crash WAY"),
    }
}
