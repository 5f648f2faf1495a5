//! Addresses on the command line.

use crate::trouble::Trouble;
use vmatlas::words::printable;

/// Parses an address.
pub(crate) fn parse(text: &str) -> Result<u64, Trouble> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let address = u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    address.ok_or_else(|| {
        let text = printable(text.as_bytes());
        Trouble::new(format!("`{text}` is no address: it is hexadecimal, like 0x7f0012345678"))
    })
}
