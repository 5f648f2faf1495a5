//! What a caller may ask of a source beside its rows, and which sources do not have it.

use crate::source::kind::SourceKind;

/// What a caller may ask of a target beside its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Request {
    /// The rows at a moment: [`Open::moment`](crate::Open::moment).
    Moment,
    /// One of several processes: [`Open::pid`](crate::Open::pid).
    Process,
    /// The list of all processes.
    Processes,
    /// That threads stand still: [`Open::freeze`](crate::Open::freeze).
    Freeze,
    /// Labels from the contents of memory: [`Open::deep`](crate::Open::deep).
    Memory,
    /// The addresses of symbols of the mapped files.
    Symbols,
    /// The fields of smaps: [`Needs::SIZES`](crate::Needs::SIZES).
    Sizes,
}

impl SourceKind {
    /// Why sources of this kind do not have what is asked for; `None` if some do. Every process has
    /// its own pid, and a text has sizes if it is smaps.
    pub fn lacks(self, request: Request) -> Option<&'static str> {
        use SourceKind::{Copy, Core, Document, Live, Log, Recording, Text};
        Some(match (request, self) {
            (Request::Moment, Live) => "a running process is only seen as it is now",
            (Request::Moment | Request::Processes, Copy) => {
                "a copy of /proc holds one process at one moment"
            }
            (Request::Moment, Document) => "a document of JSON is of one moment",
            (Request::Process, Document) => "the document is of another process",
            (Request::Processes, Document) => "a document of JSON is of one process",
            (Request::Memory, Document) => "a document of JSON holds no memory",
            (Request::Symbols, Document) => "a document of JSON does not hold the files",
            (Request::Sizes, Document) => "the document has no sizes of smaps",
            (Request::Moment, Text) => "a text of rows is of one moment",
            (Request::Moment, Core) => "a core dump is of one moment",
            (Request::Process, Live | Copy) => "the target is another process",
            (Request::Process, Text) => "a text of rows names no process",
            (Request::Process, Core) => "a core dump is of one process, which is another",
            (Request::Processes, Live) => "a running process is one process",
            (Request::Processes, Text) => "a text of rows is of one process",
            (Request::Processes, Core) => "a core dump is of one process",
            (Request::Moment | Request::Process, Log | Recording)
            | (Request::Processes, Log | Recording)
            | (Request::Freeze, Live) => return None,
            (Request::Freeze, _) => "only a running process has threads that can be stopped",
            (Request::Memory, Text) => "a text of rows holds no memory",
            // Of a recording or log, whole symbol tables of the files are read for labels.
            (Request::Memory, _) => return None,
            (Request::Symbols, Text) => "a text of rows does not hold the files",
            (Request::Symbols, Log) => "a log of strace does not identify the files",
            (Request::Symbols, _) => return None,
            (Request::Sizes, Live | Copy) => return None,
            (Request::Sizes, Text) => "it is maps, and only smaps has sizes",
            (Request::Sizes, Core) => "a core dump has no sizes of smaps",
            (Request::Sizes, Log) => "a log of strace has no sizes of smaps",
            (Request::Sizes, Recording) => "a recording has no sizes of smaps",
        })
    }
}
