//! Allocators that take the place of the C library's.

use super::Labeller;

/// Whether another allocator than the C library's is loaded.
pub(super) fn replaced(labeller: &Labeller<'_>) -> bool {
    const SIGNS: &[&str] = &["mallctl", "mi_version", "MallocExtension_GetNumericProperty"];
    let images = &labeller.facts.images;
    images.iter().any(|image| SIGNS.iter().any(|sign| image.symbol(sign).is_some()))
}

pub(super) fn recognise(_labeller: &mut Labeller<'_>) {}
