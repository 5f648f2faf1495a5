//! Memory of a Java virtual machine (HotSpot).
//!
//! With memory, what HotSpot says of itself in the tables that it keeps for debuggers
//! (`structures`); else, and for what those do not tell, how it lays memory out (`layout`). Both
//! were compared with `jcmd VM.native_memory` and `System.map` of JDK 17 and 25.

mod layout;
mod structures;
mod vm_structs;

use super::runs::{Run, runs};
use super::{Confidence, Label, Labeller};
use vmatlas_maps::AddressRange;

/// What is known of a JVM so far.
#[derive(Default)]
pub(super) struct Jvm {
    /// Whether the Java heap was found.
    has_heap: bool,
    /// The size of G1's stack of objects to mark, in bytes.
    mark_stack: Option<u64>,
    /// The collector.
    collector: Option<&'static str>,
}

fn is_libjvm(name: &[u8]) -> bool {
    name.ends_with(b"/libjvm.so")
}

/// Whether its library is mapped.
pub(super) fn is_here(labeller: &Labeller<'_>) -> bool {
    labeller.maps.iter().any(|row| is_libjvm(row.name))
}

/// What its structures tell; none if this is no JVM.
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

/// What the layout of memory tells.
pub(super) fn recognise_likely(labeller: &mut Labeller<'_>, jvm: &Jvm) {
    layout::recognise(labeller, jvm);
}

/// What is told by its size, once all else there has a label.
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
    /// ` (G1)`.
    fn by_collector(&self) -> String {
        self.collector.map(|name| format!(" ({name})")).unwrap_or_default()
    }

    /// Labels the Java heap: what may be accessed, and what is reserved for it.
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
