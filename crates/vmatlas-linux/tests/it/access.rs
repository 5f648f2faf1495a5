//! The prediction of `access` against what `open` does.
