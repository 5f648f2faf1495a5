//! Memory of a Java virtual machine (HotSpot).
//!
//! `structures` reads the tables that HotSpot keeps for debuggers, if memory is available. `layout`
//! recognises the rest by its layout. Both were compared with `jcmd VM.native_memory` and
//! `System.map` of JDK 17 and 25.

mod layout;
mod structures;
mod vm_structs;

use super::runs::{Run, runs};
use super::{Confidence, Label, Labeller};
use vmatlas_maps::AddressRange;

/// The facts found so far.
#[derive(Default)]
pub(super) struct Jvm {
    /// Whether the Java heap was found.
    has_heap: bool,
    /// The size of G1's mark stack, in bytes.
    mark_stack: Option<u64>,
    /// The collector.
    collector: Option<&'static str>,
}

fn is_libjvm(name: &[u8]) -> bool {
    name.ends_with(b"/libjvm.so")
}

/// Whether libjvm.so is mapped.
pub(super) fn is_here(labeller: &Labeller<'_>) -> bool {
    labeller.maps.iter().any(|row| is_libjvm(row.name))
}

/// Labels memory from HotSpot's structures; `None` if the process is not a JVM.
pub(super) fn recognise_certain(labeller: &mut Labeller<'_>) -> Option<Jvm> {
    let facts = labeller.facts;
    let image = facts.images.iter().find(|image| is_libjvm(&image.name));
    if image.is_none() && !is_here(labeller) {
        return None;
    }
    let mut jvm = Jvm { collector: layout::collector(labeller), ..Jvm::default() };
    if let Some(structs) = image.and_then(|image| vm_structs::VmStructs::of(labeller, image)) {
        structures::recognise(labeller, &structs, &mut jvm);
    }
    Some(jvm)
}

/// Labels memory by its layout.
pub(super) fn recognise_likely(labeller: &mut Labeller<'_>, jvm: &Jvm) {
    layout::recognise(labeller, jvm);
}

/// Labels memory by its size, after all other recognisers.
pub(super) fn recognise_rest(labeller: &mut Labeller<'_>, jvm: &Jvm) {
    let Some(size) = jvm.mark_stack.filter(|_| jvm.collector == Some("G1")) else { return };
    let label = Label::new(
        "JVM GC data",
        Confidence::Likely,
        "stack of objects that G1 has yet to mark",
        "libjvm is mapped, and this has the size that HotSpot's option MarkStackSize gives it",
    );
    let all = runs(labeller);
    let parts = all.iter().flat_map(Run::parts).filter(|part| part.perms.write());
    for part in parts.filter(|part| part.range.size() == size) {
        labeller.label(part.range, &label);
    }
}

impl Jvm {
    /// The collector in parentheses, such as ` (G1)`.
    fn by_collector(&self) -> String {
        self.collector.map(|name| format!(" ({name})")).unwrap_or_default()
    }

    /// Labels the accessible and the reserved parts of the Java heap.
    fn label_heap(
        &self,
        labeller: &mut Labeller<'_>,
        heap: AddressRange,
        confidence: Confidence,
        because: &str,
    ) {
        let gc = self.by_collector();
        let label = |text| Label::new("JVM heap", confidence, text, because);
        let used = label(format!("heap of Java objects{gc}"));
        let reserved = label(format!("reserved for the heap of Java objects{gc}"));
        labeller.label_reservation(heap, &used, &reserved);
    }
}
