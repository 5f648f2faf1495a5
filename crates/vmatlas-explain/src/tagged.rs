//! Pointers whose upper bits are no part of their address.

use crate::beyond::AARCH64_BITS;
use crate::crash::Machine;
use vmatlas_maps::{Mapping, Maps};

/// A pointer whose upper bits are no part of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tagged {
    /// The pointer with these bits.
    pub pointer: u64,
    /// Its address.
    pub address: u64,
    /// The meaning of the bits.
    pub bits: UpperBits,
    /// Whether the processor is known to ignore the bits; else this is so only if the pointer is
    /// of such a processor.
    pub is_certain: bool,
}

/// The meaning of upper bits of a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpperBits {
    /// The top byte, which AArch64 ignores: a tag of an allocator or of MTE
    /// (Documentation/arch/arm64/tagged-pointers.rst).
    TopByte(u8),
    /// Pointer authentication of AArch64: a signature, or what a failed check left of it, between
    /// the address and bit 55 (Documentation/arch/arm64/pointer-authentication.rst).
    Signature,
    /// Bits that the process asked the processor to ignore: `untag_mask` in proc_pid_status(5),
    /// such as LAM of x86-64 and pointer masking of RISC-V.
    Masked,
}

/// Sizes in bits of an address of a program on AArch64, by the kernel's configuration.
const SIZES: [u32; 6] = [36, 39, 42, 47, 48, AARCH64_BITS];

/// The largest distance in bytes between an address and a row beside which it is looked for if the
/// machine is unknown.
const NEAR: u64 = 64 << 10;

impl Tagged {
    /// Splits a pointer that no row contains into its address and upper bits. `None` if all its
    /// bits are its address, as far as is known. `mask` has the bits that the processor uses
    /// ([`Facts::pointer_mask`](crate::label::Facts::pointer_mask)). If the machine is unknown,
    /// the address must lie in a row or beside one.
    pub fn of(
        pointer: u64,
        machine: Option<Machine>,
        mask: Option<u64>,
        maps: &Maps,
    ) -> Option<Tagged> {
        if maps.find(pointer).mapping.is_some() {
            return None;
        }
        let found = |address: u64, bits, is_certain| {
            (address != pointer).then_some(Tagged { pointer, address, bits, is_certain })
        };
        let is_aarch64 = machine == Some(Machine::AArch64);
        // Pointers to the kernel keep their bits.
        let mask = mask.filter(|_| !is_aarch64 && pointer >> 63 == 0);
        if let Some(masked) = mask.and_then(|mask| found(pointer & mask, UpperBits::Masked, true)) {
            return Some(masked);
        }
        // Bit 55 selects the kernel's half.
        if !is_aarch64 && machine.is_some() || pointer >> 55 & 1 == 1 {
            return None;
        }
        let plain = pointer & (u64::MAX >> 8);
        let tag = UpperBits::TopByte((pointer >> 56) as u8);
        let tagged = || found(plain, tag, is_aarch64).filter(|_| plain >> AARCH64_BITS == 0);
        let in_row = tagged().filter(|_| maps.find(plain).mapping.is_some());
        let beside = || tagged().filter(|_| is_aarch64 || is_near(plain, maps));
        in_row.or_else(|| signed(pointer, is_aarch64, maps)).or_else(beside)
    }

    /// Whether the processor uses none of the bits when it accesses memory.
    pub fn are_ignored(&self) -> bool {
        self.bits != UpperBits::Signature
    }

    /// The address of a pointer of which it is known only whether the processor ignores its bits.
    pub(crate) fn plain(pointer: u64, machine: Option<Machine>, maps: &Maps) -> u64 {
        let tagged = Tagged::of(pointer, machine, None, maps);
        tagged.filter(Tagged::are_ignored).map_or(pointer, |tagged| tagged.address)
    }
}

/// A pointer whose address lies in a row without its signature; in executable memory if the machine
/// is unknown.
fn signed(pointer: u64, is_aarch64: bool, maps: &Maps) -> Option<Tagged> {
    let in_user_half = |row: &Mapping<'_>| row.range.start >> 55 == 0;
    let end = match maps.is_ordered() {
        true => (0..maps.len()).rev().filter_map(|row| maps.get(row)).find(in_user_half)?.range.end,
        false => maps.iter().filter(in_user_half).map(|row| row.range.end).max()?,
    };
    let bits = SIZES.into_iter().find(|bits| end.saturating_sub(1) >> bits == 0)?;
    let address = pointer & ((1 << bits) - 1);
    let row = maps.find(address).mapping.and_then(|row| maps.get(row))?;
    let tagged = Tagged { pointer, address, bits: UpperBits::Signature, is_certain: false };
    (address != pointer && (is_aarch64 || row.perms.execute())).then_some(tagged)
}

fn is_near(address: u64, maps: &Maps) -> bool {
    let place = maps.find(address);
    let row = |at: Option<usize>| at.and_then(|at| maps.get(at));
    row(place.before).is_some_and(|row| address - row.range.end < NEAR)
        || row(place.after).is_some_and(|row| row.range.start - address < NEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AARCH64: Option<Machine> = Some(Machine::AArch64);
    const X86_64: Option<Machine> = Some(Machine::X86_64);

    fn maps() -> Maps {
        let text = b"7f3f263000-7f3f264000 r-xp 0 0:0 0\n7f3f26b000-7f3f26d000 rw-p 0 0:0 0\n\
            ffff8f3f26b000-ffff8f3f26d000 rw-p 0 0:0 0\n";
        Maps::parse(text).unwrap()
    }

    fn of(pointer: u64, machine: Option<Machine>) -> Option<(u64, UpperBits, bool)> {
        let found = Tagged::of(pointer, machine, None, &maps())?;
        assert_eq!(found.pointer, pointer);
        Some((found.address, found.bits, found.is_certain))
    }

    #[test]
    fn the_top_byte_is_no_part_of_an_address_of_aarch64() {
        let tag = UpperBits::TopByte(0xb4);
        assert_eq!(of(0xb400_007f_3f26_b010, AARCH64), Some((0x7f_3f26_b010, tag, true)));
        assert_eq!(of(0xb400_007f_0000_0010, AARCH64), Some((0x7f_0000_0010, tag, true)));
        assert_eq!(of(0xb400_007f_3f26_b010, None), Some((0x7f_3f26_b010, tag, false)));
        assert_eq!(of(0xb400_007f_3f26_d010, None), Some((0x7f_3f26_d010, tag, false)));
        assert_eq!(of(0xb400_007f_0000_0010, None), None);
        assert_eq!(of(0xb400_007f_3f26_b010, X86_64), None);
    }

    #[test]
    fn signatures_lie_between_address_and_bit_55() {
        let signed = Some((0x7f_3f26_3110, UpperBits::Signature, false));
        for pointer in [0x0020_007f_3f26_3110, 0x0041_807f_3f26_3110, 0xb47a_217f_3f26_3110] {
            assert_eq!(of(pointer, AARCH64), signed, "{pointer:x}");
            assert_eq!(of(pointer, None), signed, "{pointer:x}");
        }
        // Addresses have 39 bits if all rows do.
        assert_eq!(of(0x0000_ff7f_3f26_3110, AARCH64), signed);
        let data = 0x0041_007f_3f26_b010;
        assert_eq!(of(data, AARCH64), Some((0x7f_3f26_b010, UpperBits::Signature, false)));
        assert_eq!(of(data, None), None);
    }

    #[test]
    fn addresses_and_text_have_no_tag() {
        for machine in [AARCH64, None, X86_64] {
            assert_eq!(of(0x7f_3f26_b010, machine), None);
            assert_eq!(of(0xff_ff8f_3f26_b010, machine), None);
            assert_eq!(of(0x4141_4141_4141_4141, machine), None);
            assert_eq!(of(0xffff_8880_0000_1000, machine), None);
        }
    }

    #[test]
    fn the_kernel_says_which_bits_a_process_uses() {
        let of = |mask| Tagged::of(0x5a00_007f_3f26_b010, X86_64, Some(mask), &maps());
        assert_eq!(of(u64::MAX), None);
        // LAM_U57 uses bits 0 to 56 and 63.
        let found = of(0x81ff_ffff_ffff_ffff).unwrap();
        assert_eq!((found.address, found.bits), (0x7f_3f26_b010, UpperBits::Masked));
        assert!(found.is_certain);
        for pointer in [u64::MAX, 0xffff_8880_0000_1000] {
            let mask = Some(0x81ff_ffff_ffff_ffff);
            assert_eq!(Tagged::of(pointer, X86_64, mask, &maps()), None, "{pointer:x}");
            assert_eq!(Tagged::of(pointer, AARCH64, Some(u64::MAX >> 8), &maps()), None);
        }
        let empty = Maps::parse(b"0-0 rw-p 0 0:0 0\n").unwrap();
        assert_eq!(Tagged::of(0x0020_0000_0000_1000, AARCH64, None, &empty), None);
    }
}
