//! The unwind table of a file: finds the row for an address.

use gimli::{
    BaseAddresses, CieOrFde, DebugFrame, EhFrame, Encoding, EndianSlice, LittleEndian, Register,
    RegisterRule, UnwindContext, UnwindContextStorage, UnwindSection, UnwindTableRow,
};

/// gimli's own storage has room for 192 rules in each row; this fails on tables that need more
/// than any compiler writes, and allocates nothing.
pub(super) struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); 40];
    type Stack = [UnwindTableRow<usize, Storage>; 6];
}

pub(super) type Context = UnwindContext<usize, Storage>;
pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// More functions than in any known program; their index takes 16 bytes each.
const FUNCTIONS_LIMIT: usize = 8 << 20;
/// A table for one function that is longer is not run: its instructions are run one by one.
const INSTRUCTIONS_LIMIT: usize = 64 << 10;

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

/// Which entry of the table is for an address.
#[derive(Debug)]
enum Index {
    /// The sorted pairs of `.eh_frame_hdr`: where a function begins, where its entry is.
    Header { header: Header, pairs: Vec<u8> },
    /// Made here: the function's address, the entry's offset, sorted.
    Made(Vec<(u64, u32)>),
}

/// The start of `.eh_frame_hdr` (LSB 5.0, "The .eh_frame_hdr section").
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The vaddr of the section.
    vaddr: u64,
    /// The vaddr of `.eh_frame`.
    pub(super) frames: u64,
    /// How many pairs there are; none if they are in an encoding that no linker writes.
    pairs: Option<usize>,
}

impl Header {
    const SIZE: usize = 12;

    /// Reads the encodings that linkers write, which are one: for everything else there is the
    /// table itself.
    pub(super) fn parse(bytes: &[u8], vaddr: u64) -> Option<Header> {
        let &[1, frames_encoding, count_encoding, pairs_encoding, ..] = bytes else { return None };
        let number = |at: usize| Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        // DW_EH_PE_pcrel | DW_EH_PE_sdata4, as seen from the number's own place.
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

/// A row: where the registers of the caller are, for one address of a function.
pub(super) struct Row<'a> {
    pub(super) row: &'a UnwindTableRow<usize, Storage>,
    /// The whole table, in which expressions are.
    pub(super) bytes: &'a [u8],
    pub(super) encoding: Encoding,
    /// The caller was interrupted by a signal rather than made a call.
    pub(super) is_signal: bool,
}

impl Table {
    /// `bytes` are those of `.eh_frame`, which is at `vaddr`; `header` those of `.eh_frame_hdr`.
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

    /// `bytes` are those of `.debug_frame`.
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

    /// How many bytes of memory it takes.
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
        if !entry.contains(vaddr) || longest > INSTRUCTIONS_LIMIT {
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

    /// Where the entry is of the last function that begins at or before the address.
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
                // Distances, so that they have the order that the linker sorted them in.
                let distance = vaddr.wrapping_sub(header.vaddr).cast_signed();
                let before = pairs.partition_point(|pair| number(pair, 0) <= distance);
                let entry = number(pairs.get(before.checked_sub(1)?)?, 4);
                let entry = header.vaddr.wrapping_add_signed(entry);
                usize::try_from(entry.checked_sub(header.frames)?).ok()
            }
        }
    }
}

/// Goes over the whole table once. An entry that makes no sense is left out, and where the length
/// of one is wrong, the rest.
fn make_index<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    bases: &BaseAddresses,
) -> Vec<(u64, u32)> {
    let mut index = Vec::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let Ok(entry) = partial.parse(S::cie_from_offset) else { continue };
        // Functions that the linker dropped are at 0.
        let has_code = entry.initial_address() != 0 && entry.len() > 0;
        if let Ok(offset) = u32::try_from(entry.offset())
            && has_code
        {
            index.push((entry.initial_address(), offset));
        }
        if index.len() == FUNCTIONS_LIMIT {
            break;
        }
    }
    index.sort_unstable();
    index.shrink_to_fit();
    index
}
