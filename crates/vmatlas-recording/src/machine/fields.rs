//! Numbers that may be unknown, as differences from numbers that the reader has.

#[cfg(feature = "write")]
use vmatlas_space::bytes::Put;
use vmatlas_space::bytes::Take;

/// 0 for an unknown number; a small code for small numbers of KiB.
fn code(number: Option<u64>) -> u64 {
    // The one number whose code would be that of an unknown one.
    number.map_or(0, |number| number.min(u64::MAX - 1).rotate_right(10) + 1)
}

/// Writes a number near another one.
#[cfg(feature = "write")]
pub(super) fn put(out: &mut Vec<u8>, number: Option<u64>, near: Option<u64>) {
    out.put_signed(code(number).wrapping_sub(code(near)) as i64);
}

/// Reads it; `None` if the bytes end.
pub(super) fn take(take: &mut Take<'_>, near: Option<u64>) -> Option<Option<u64>> {
    let code = code(near).wrapping_add(take.signed()? as u64);
    Some(code.checked_sub(1).map(|number| number.rotate_left(10)))
}
