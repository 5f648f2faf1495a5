//! The unwind table of a file; finds the row for an address.

use gimli::{
    BaseAddresses, CieOrFde, DebugFrame, EhFrame, Encoding, EndianSlice, LittleEndian, Register,
    RegisterRule, UnwindContext, UnwindContextStorage, UnwindSection, UnwindTableRow,
};

/// gimli's default storage has room for 192 rules per row. This one fails on tables that need more
/// than compilers write, and allocates nothing.
pub(super) struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); 40];
    type Stack = [UnwindTableRow<usize, Storage>; 6];
}

pub(super) type Context = UnwindContext<usize, Storage>;
pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// More functions than in any known program. Each takes 16 bytes in the index.
const MAX_FUNCTIONS: usize = 8 << 20;
/// A longer table of one function is not evaluated, because its instructions are run one by one.
const MAX_INSTRUCTIONS: usize = 64 << 10;

/// `.eh_frame` or `.debug_frame`.
#[derive(Debug)]
pub(super) struct Table {
    kind: Kind,
    bytes: Vec<u8>,
    bases: BaseAddresses,
    index: Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    EhFrame,
    DebugFrame,
}

/// Finds the entry of the table for an address.
#[derive(Debug)]
enum Index {
    /// The sorted pairs of `.eh_frame_hdr`: function address, entry address.
    Header { header: Header, pairs: Vec<u8> },
    /// Built by us: function address and entry offset, sorted.
    Made(Vec<(u64, u32)>),
}

/// The start of `.eh_frame_hdr` (LSB 5.0, "The .eh_frame_hdr section").
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The vaddr of the section.
    vaddr: u64,
    /// The vaddr of `.eh_frame`.
    pub(super) frames: u64,
    /// The number of pairs; `None` if the encoding is not the one that linkers write.
    pairs: Option<usize>,
}

impl Header {
    const SIZE: usize = 12;

    /// Reads the one encoding that linkers write. For others, the table itself is used.
    pub(super) fn parse(bytes: &[u8], vaddr: u64) -> Option<Header> {
        let &[1, frames_encoding, count_encoding, pairs_encoding, ..] = bytes else { return None };
        let number = |at: usize| Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        // DW_EH_PE_pcrel | DW_EH_PE_sdata4, relative to the address of the number itself.
        if frames_encoding != 0x1b {
            return None;
        }
        let frames = vaddr.wrapping_add(4).wrapping_add_signed(i64::from(number(4)?));
        // DW_EH_PE_udata4, and DW_EH_PE_datarel | DW_EH_PE_sdata4.
        let pairs = match (count_encoding, pairs_encoding) {
            (0x03, 0x3b) => {
                let count = number(8)? as u32 as usize;
                Some(count.min((bytes.len() - Header::SIZE) / 8))
            }
            _ => None,
        };
        Some(Header { vaddr, frames, pairs: pairs.filter(|&pairs| pairs > 0) })
    }
}

/// A row: where the registers of the caller are saved, for one address of a function.
pub(super) struct Row<'a> {
    pub(super) row: &'a UnwindTableRow<usize, Storage>,
    /// The whole table, which contains the expressions.
    pub(super) bytes: &'a [u8],
    pub(super) encoding: Encoding,
    /// The caller was interrupted by a signal and did not make a call.
    pub(super) is_signal: bool,
}

impl Table {
    /// Reads `.eh_frame`, whose `bytes` are at `vaddr`; `header` has the bytes of `.eh_frame_hdr`.
    pub(super) fn eh_frame(
        bytes: Vec<u8>,
        vaddr: u64,
        header: Option<(Header, Vec<u8>)>,
        bases: BaseAddresses,
    ) -> Option<Table> {
        let bases = bases.set_eh_frame(vaddr);
        let index = match header {
            Some((header, pairs)) if header.pairs.is_some() => Index::Header { header, pairs },
            _ => {
                let mut section = EhFrame::new(&bytes, LittleEndian);
                section.set_address_size(8);
                Index::Made(make_index(&section, &bases))
            }
        };
        Some(Table { kind: Kind::EhFrame, bytes, bases, index }).filter(|table| !table.is_empty())
    }

    /// Reads `.debug_frame`.
    pub(super) fn debug_frame(bytes: Vec<u8>, bases: BaseAddresses) -> Option<Table> {
        let mut section = DebugFrame::new(&bytes, LittleEndian);
        section.set_address_size(8);
        let index = Index::Made(make_index(&section, &bases));
        Some(Table { kind: Kind::DebugFrame, bytes, bases, index })
            .filter(|table| !table.is_empty())
    }

    fn is_empty(&self) -> bool {
        matches!(&self.index, Index::Made(entries) if entries.is_empty())
    }

    /// Size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let index = match &self.index {
            Index::Header { pairs, .. } => pairs.capacity(),
            Index::Made(entries) => entries.capacity() * size_of::<(u64, u32)>(),
        };
        self.bytes.capacity() + index
    }

    /// Calls `then` with the row for this vaddr, if there is one.
    pub(super) fn row<T>(
        &self,
        vaddr: u64,
        context: &mut Context,
        then: impl FnOnce(Row<'_>) -> T,
    ) -> Option<T> {
        let offset = self.entry(vaddr)?;
        match self.kind {
            Kind::EhFrame => {
                let mut section = EhFrame::new(&self.bytes, LittleEndian);
                section.set_address_size(8);
                self.row_of(&section, offset, vaddr, context, then)
            }
            Kind::DebugFrame => {
                let mut section = DebugFrame::new(&self.bytes, LittleEndian);
                section.set_address_size(8);
                self.row_of(&section, offset, vaddr, context, then)
            }
        }
    }

    fn row_of<'a, S: UnwindSection<Bytes<'a>>, T>(
        &'a self,
        section: &S,
        offset: usize,
        vaddr: u64,
        context: &mut Context,
        then: impl FnOnce(Row<'_>) -> T,
    ) -> Option<T> {
        let offset = S::Offset::from(offset);
        let entry = section.fde_from_offset(&self.bases, offset, S::cie_from_offset).ok()?;
        let longest = entry.entry_len().max(entry.cie().entry_len());
        if !entry.contains(vaddr) || longest > MAX_INSTRUCTIONS {
            return None;
        }
        let row = entry.unwind_info_for_address(section, &self.bases, context, vaddr).ok()?;
        Some(then(Row {
            row,
            bytes: &self.bytes,
            encoding: entry.cie().encoding(),
            is_signal: entry.is_signal_trampoline(),
        }))
    }

    /// The offset of the entry for the last function that begins at or before the address.
    fn entry(&self, vaddr: u64) -> Option<usize> {
        match &self.index {
            Index::Made(entries) => {
                let before =
                    entries.partition_point(|(start, _)| *start <= vaddr).checked_sub(1)?;
                Some(entries[before].1 as usize)
            }
            Index::Header { header, pairs } => {
                let (pairs, _) = pairs.get(Header::SIZE..)?.as_chunks::<8>();
                let pairs = pairs.get(..header.pairs?)?;
                let number = |pair: &[u8; 8], at: usize| {
                    let bytes = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                    i64::from(i32::from_le_bytes(bytes))
                };
                // The linker sorted the pairs by distance, not by address.
                let distance = vaddr.wrapping_sub(header.vaddr).cast_signed();
                let before = pairs.partition_point(|pair| number(pair, 0) <= distance);
                let entry = number(pairs.get(before.checked_sub(1)?)?, 4);
                let entry = header.vaddr.wrapping_add_signed(entry);
                usize::try_from(entry.checked_sub(header.frames)?).ok()
            }
        }
    }
}

/// Builds the index in one pass. An invalid entry is skipped; after an invalid length the rest is
/// skipped.
fn make_index<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    bases: &BaseAddresses,
) -> Vec<(u64, u32)> {
    let mut index = Vec::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let Ok(entry) = partial.parse(S::cie_from_offset) else { continue };
        // Functions that the linker dropped have address 0.
        let has_code = entry.initial_address() != 0 && entry.len() > 0;
        if let Ok(offset) = u32::try_from(entry.offset())
            && has_code
        {
            index.push((entry.initial_address(), offset));
        }
        if index.len() == MAX_FUNCTIONS {
            break;
        }
    }
    index.sort_unstable();
    index.shrink_to_fit();
    index
}
