//! Field offsets of HotSpot's structures, from the tables that libjvm.so keeps for debuggers
//! (src/hotspot/share/runtime/vmStructs.cpp; checked on OpenJDK 17 and 25).

use super::super::Labeller;
use super::super::peek::{Peek, words};
use crate::label::ImageFacts;

/// JDK 17 has 788 entries.
const MAX_ENTRIES: u64 = 8192;
/// An entry has 48 bytes.
const LONGEST_ENTRY: u64 = 256;

/// The fields to look up. Other types have fields of the same name, and a type may be missing in a
/// release.
const WANTED: &[(&str, &str)] = &[
    ("BarrierSet", "_barrier_set"),
    ("CardTable", "_byte_map"),
    ("CardTable", "_byte_map_size"),
    ("CardTableBarrierSet", "_card_table"),
    ("ClassLoaderData", "_klasses"),
    ("ClassLoaderData", "_next"),
    ("ClassLoaderDataGraph", "_head"),
    ("CodeCache", "_heaps"),
    ("CodeCache", "_high_bound"),
    ("CodeCache", "_low_bound"),
    ("CodeHeap", "_segmap"),
    ("CollectedHeap", "_reserved"),
    ("GrowableArray<int>", "_data"),
    ("GrowableArrayBase", "_len"),
    ("InstanceKlass", "_constants"),
    ("JVMFlag", "_addr"),
    ("JVMFlag", "_flags"),
    ("JVMFlag", "_name"),
    ("JVMFlag", "_type"),
    ("JVMFlag", "flags"),
    ("JVMFlag", "numFlags"),
    ("JavaThread", "_osthread"),
    ("JavaThread", "_stack_base"),
    ("JavaThread", "_stack_size"),
    ("Klass", "_next_link"),
    ("MemRegion", "_start"),
    ("MemRegion", "_word_size"),
    ("MetaspaceObj", "_shared_metaspace_base"),
    ("MetaspaceObj", "_shared_metaspace_top"),
    ("OSThread", "_thread_id"),
    ("Thread", "_osthread"),
    ("ThreadsList", "_length"),
    ("ThreadsList", "_threads"),
    ("ThreadsSMRSupport", "_java_thread_list"),
    ("Universe", "_collectedHeap"),
    ("VirtualSpace", "_high_boundary"),
    ("VirtualSpace", "_low_boundary"),
];

/// The tables of a JVM.
pub(super) struct VmStructs<'a> {
    pub(super) peek: Peek<'a>,
    /// In the order of [`WANTED`]: whether the field is static, and its address or offset.
    fields: Vec<Option<(bool, u64)>>,
}

impl<'a> VmStructs<'a> {
    pub(super) fn of(labeller: &Labeller<'a>, libjvm: &ImageFacts) -> Option<VmStructs<'a>> {
        let peek = Peek::of(labeller)?;
        let number = |symbol: &str| peek.u64(libjvm.symbol(symbol)?);
        let offset = |symbol| number(symbol).filter(|&offset| offset < LONGEST_ENTRY);
        let table = number("gHotSpotVMStructs")?;
        let stride = offset("gHotSpotVMStructEntryArrayStride").filter(|&stride| stride > 0)?;
        let type_name = offset("gHotSpotVMStructEntryTypeNameOffset")?;
        let field_name = offset("gHotSpotVMStructEntryFieldNameOffset")?;
        let is_static = offset("gHotSpotVMStructEntryIsStaticOffset")?;
        let field_offset = offset("gHotSpotVMStructEntryOffsetOffset")?;
        let address = offset("gHotSpotVMStructEntryAddressOffset")?;
        let mut fields = vec![None; WANTED.len()];
        for index in 0..MAX_ENTRIES {
            let entry = table.checked_add(index * stride)?;
            let word = |offset: u64| peek.u64(entry.checked_add(offset)?);
            let name = word(type_name)?;
            // The last entry has no name.
            if name == 0 {
                break;
            }
            // Other names are dropped, because few are wanted.
            let Some(type_name) = peek.text(name) else { continue };
            if !WANTED.iter().any(|(wanted, _)| *wanted == type_name) {
                continue;
            }
            let Some(field_name) = word(field_name).and_then(|at| peek.text(at)) else { continue };
            let wanted = |(t, f): &(&str, &str)| *t == type_name && *f == field_name;
            let Some(field) = WANTED.iter().position(wanted).and_then(|at| fields.get_mut(at))
            else {
                continue;
            };
            // `isStatic` is an int.
            let is_static = peek.u32(entry.checked_add(is_static)?)? != 0;
            *field = Some((is_static, word(if is_static { address } else { field_offset })?));
        }
        fields.iter().any(Option::is_some).then_some(VmStructs { peek, fields })
    }

    fn field(&self, type_name: &str, field: &str) -> Option<(bool, u64)> {
        let at = WANTED.iter().position(|(t, f)| *t == type_name && *f == field)?;
        *self.fields.get(at)?
    }

    /// The address of a static field.
    fn static_field(&self, type_name: &str, field: &str) -> Option<u64> {
        self.field(type_name, field).filter(|(is_static, _)| *is_static).map(|(_, address)| address)
    }

    /// The value of a word-sized static field.
    pub(super) fn value(&self, type_name: &str, field: &str) -> Option<u64> {
        self.peek.u64(self.static_field(type_name, field)?)
    }

    /// The offset of a field in its structure.
    pub(super) fn offset(&self, type_name: &str, field: &str) -> Option<u64> {
        self.field(type_name, field).filter(|(is_static, _)| !is_static).map(|(_, offset)| offset)
    }

    /// The address of a field of the structure at `object`.
    pub(super) fn address(&self, object: u64, type_name: &str, field: &str) -> Option<u64> {
        Some(object).filter(|&object| object != 0)?.checked_add(self.offset(type_name, field)?)
    }

    /// The value of a word-sized field of the structure at `object`.
    pub(super) fn of_object(&self, object: u64, type_name: &str, field: &str) -> Option<u64> {
        self.peek.u64(self.address(object, type_name, field)?)
    }

    /// The addresses of the values of JVM options, by option name.
    pub(super) fn options(&self, wanted: &[&str]) -> Vec<Option<u64>> {
        let mut found = vec![None; wanted.len()];
        let each = || {
            let fields = ["_addr", "_flags", "_name", "_type"];
            let mut offsets = [0; 4];
            for (offset, field) in offsets.iter_mut().zip(fields) {
                *offset = self.offset("JVMFlag", field).filter(|&at| at < LONGEST_ENTRY)?;
            }
            let [address, _, name, _] = offsets;
            // The entry ends after its last field, which is an int.
            let size = (offsets.into_iter().max()? + 4).next_multiple_of(8);
            Some((address, name, size))
        };
        let table = self.value("JVMFlag", "flags");
        let count = self.value("JVMFlag", "numFlags");
        let (Some((address, name, size)), Some(table), Some(count)) = (each(), table, count) else {
            return found;
        };
        let count = count.min(MAX_ENTRIES);
        let bytes = self.peek.bytes(table, usize::try_from(count * size).unwrap_or(0));
        for entry in bytes.chunks_exact(usize::try_from(size).unwrap_or(usize::MAX)) {
            let word = |offset: u64| words(entry).nth(usize::try_from(offset / 8).ok()?);
            let Some(text) = word(name).and_then(|at| self.peek.text(at)) else { continue };
            if let Some(at) = wanted.iter().position(|wanted| *wanted == text)
                && let Some(found) = found.get_mut(at)
            {
                *found = word(address);
            }
        }
        found
    }
}
