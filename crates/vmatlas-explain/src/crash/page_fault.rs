//! The error code of a page fault of x86 (arch/x86/include/asm/trap_pf.h of Linux 6.18).

use crate::crash::{Access, Crash};

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const RESERVED: u64 = 1 << 3;
const FETCH: u64 = 1 << 4;
const KEY: u64 = 1 << 5;
const SHADOW_STACK: u64 = 1 << 6;
const ENCLAVE: u64 = 1 << 15;

/// Decodes the error code into the fields of a crash. An absent page proves little about the
/// mapping: the page may be forbidden, or not accessed yet.
pub(crate) fn take(crash: &mut Crash, bits: u64) {
    let is = |bit| bits & bit != 0;
    crash.access = Some(match (is(FETCH), is(WRITE)) {
        (true, _) => Access::Execute,
        (false, true) => Access::Write,
        (false, false) => Access::Read,
    });
    crash.present = (is(PRESENT) && !of_kernel(crash)).then_some(true);
    crash.protection_key = Some(is(KEY));
}

/// Whether the address is the kernel's. The error code that user code gets for such an address does
/// not show whether a page is present (`sanitize_error_code`).
fn of_kernel(crash: &Crash) -> bool {
    crash.address.is_some_and(|address| address >> 63 != 0)
}

/// Describes the error code in words.
pub(super) fn words(crash: &Crash, bits: u64) -> String {
    let is = |bit| bits & bit != 0;
    let access = match crash.access {
        Some(Access::Execute) => "execution",
        Some(Access::Write) => "write",
        _ => "read",
    };
    let who = if is(USER) { "user code" } else { "the kernel" };
    let page = match (of_kernel(crash), is(PRESENT)) {
        (true, _) => "an address of the kernel",
        (false, true) => "a page that forbids it",
        (false, false) => "a page not present",
    };
    let more = [
        (RESERVED, "reserved bits set in a page table"),
        (KEY, "refused by a protection key"),
        (SHADOW_STACK, "a shadow stack"),
        (ENCLAVE, "refused by SGX"),
    ];
    let more = more.into_iter().filter(|(bit, _)| is(*bit)).map(|(_, word)| format!(", {word}"));
    let more: String = more.collect();
    format!("page fault, error {bits:#x}: {access} by {who} of {page}{more}")
}
