//! Documents of JSON that `vmatlas show` wrote, and snapshots: the same document, compressed.

mod bounded;
pub(crate) mod facts;
pub(crate) mod read;
mod row;
