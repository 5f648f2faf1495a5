//! Refuses what a caller asks of a source that does not have it.

use super::Source;
use super::kind::SourceKind;
use crate::error::{Error, ErrorKind, Result};
use crate::request::Request;
use vmatlas_recording::Selection;

/// The error that a target does not have what was asked for.
pub(crate) fn refusal(name: &str, request: Request, why: &str) -> Error {
    Error::new(ErrorKind::Lacks, format!("{name}: {why}")).with_request(request)
}

/// Refuses a request that no source of this kind has.
pub(crate) fn refuse(name: &str, kind: SourceKind, request: Request) -> Result<()> {
    kind.lacks(request).map_or(Ok(()), |why| Err(refusal(name, request, why)))
}

/// Refuses a moment or a process that the source does not have.
pub(crate) fn check(name: &str, source: &Source, selection: &Selection) -> Result<()> {
    let kind = source.kind();
    if selection.moment.is_some() {
        refuse(name, kind, Request::Moment)?;
    }
    match selection.pid {
        Some(pid) if source.pid() != Some(pid) => refuse(name, kind, Request::Process),
        _ => Ok(()),
    }
}
