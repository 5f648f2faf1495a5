//! Stands in for the module `recorded` and its sources without the feature `recordings`: types
//! that have no values, and the errors for targets that are not read.

use crate::source::file_now::FileNow;
use crate::source::kind::SourceKind;
use std::collections::HashMap;
use std::convert::Infallible;
use std::marker::PhantomData;
use vmatlas_explain::label::Facts;
use vmatlas_linux::Images;
use vmatlas_linux::symbols::SymbolOptions;
use vmatlas_maps::{AddressRange, Maps};
use vmatlas_object::Budget;

/// A process of a recording or a log. Without the feature `recordings` there is none.
pub enum Recorded {}

/// The event that ended a mapping. Without the feature `recordings` none is known.
#[derive(Clone, Debug)]
pub enum Ending {}

/// Bytes that share an origin. Without the feature `recordings` no origin is known.
#[derive(Clone, Copy)]
pub struct Made<'a>(Infallible, PhantomData<&'a ()>);

/// The origins of all rows: none.
#[derive(Default)]
pub(crate) struct Origins;

impl Recorded {
    pub(crate) fn pid(&self) -> Option<u32> {
        match *self {}
    }

    pub(crate) fn event_number(&self) -> Option<u64> {
        match *self {}
    }

    pub(crate) fn time_ns(&self) -> Option<u64> {
        match *self {}
    }

    pub(crate) fn comm(&self) -> &[u8] {
        match *self {}
    }

    pub(crate) fn kernel(&self) -> Option<&str> {
        match *self {}
    }

    pub(crate) fn kind(&self) -> SourceKind {
        match *self {}
    }

    pub(crate) fn is_of_same_image(&self, _: &Recorded, _: impl FnOnce() -> bool) -> bool {
        match *self {}
    }

    pub(crate) fn shares_origin(&self, _: AddressRange, _: &Recorded, _: AddressRange) -> bool {
        match *self {}
    }

    pub(crate) fn doubts(&self) -> Vec<u64> {
        match *self {}
    }

    pub(crate) fn is_guarded(&self, _: u64) -> bool {
        match *self {}
    }

    pub(crate) fn origins(&self, _: &Maps, _: &SymbolOptions) -> Origins {
        match *self {}
    }

    pub(crate) fn left_out(&self) -> Vec<usize> {
        match *self {}
    }

    pub(crate) fn set_budget(&mut self, _: Budget) {
        match *self {}
    }

    pub(crate) fn budget(&self) -> Budget {
        match *self {}
    }

    pub(crate) fn images(&self, _: &Maps) -> &Images {
        match *self {}
    }

    pub(crate) fn file_now(&self, _: &Maps, _: usize) -> Option<FileNow> {
        match *self {}
    }

    pub(crate) fn facts(&self, _: &Maps, _: &Origins, _: bool) -> Facts {
        match *self {}
    }

    pub(crate) fn made_in<'a>(
        &'a self,
        _: AddressRange,
        _: impl FnOnce() -> &'a Origins,
    ) -> Option<Made<'a>> {
        match *self {}
    }

    pub(crate) fn made_of_row<'a>(
        &'a self,
        _: usize,
        _: AddressRange,
        _: &'a Origins,
    ) -> Vec<(Made<'a>, u64)> {
        match *self {}
    }

    pub(crate) fn endings(
        &self,
        _: &[u64],
        _: &Recorded,
        _: &SymbolOptions,
    ) -> HashMap<u64, Ending> {
        match *self {}
    }
}

/// Stands in for `source::recording`.
pub(crate) mod recording {
    use super::Recorded;
    use crate::error::{Error, ErrorKind, Result};
    use crate::note::Note;
    use crate::words::values::printable;
    use vmatlas_maps::Maps;
    use vmatlas_recording::Selection;

    pub(crate) fn read<F>(name: &str, _: &Selection, _: F) -> Result<(Recorded, Maps, Vec<Note>)> {
        Err(not_read(name, "a recording"))
    }

    pub(crate) fn read_stream<R>(
        name: &str,
        selection: &Selection,
        input: R,
        _: u64,
    ) -> Result<(Recorded, Maps, Vec<Note>)> {
        read(name, selection, input)
    }

    pub(super) fn not_read(name: &str, what: &str) -> Error {
        let name = printable(name.as_bytes());
        let help = "build with the feature `recordings` of vmatlas, which reads it";
        Error::new(ErrorKind::Unreadable, format!("{name}: {what}, which is not read; {help}"))
    }
}

/// Stands in for `source::log`.
pub(crate) mod log {
    use super::Recorded;
    use super::recording::not_read;
    use crate::error::Result;
    use crate::note::Note;
    use vmatlas_maps::Maps;
    use vmatlas_recording::Selection;

    const LOG: &str = "a log of strace";

    pub(crate) fn open_parts(name: &str, _: &Selection) -> Result<(Recorded, Maps, Vec<Note>)> {
        Err(not_read(name, LOG))
    }

    pub(crate) fn read<R>(
        name: &str,
        _: &Selection,
        _: &[u8],
        _: R,
    ) -> Result<(Recorded, Maps, Vec<Note>)> {
        Err(not_read(name, LOG))
    }
}
