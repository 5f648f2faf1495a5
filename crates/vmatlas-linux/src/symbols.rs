//! Resolves code addresses to functions and source lines: after the recording, possibly on another
//! machine, and each distinct address once.
//!
//! ```
//! use std::os::unix::fs::MetadataExt as _;
//! use vmatlas_linux::symbols::{Module, Place, Symbolizer};
//!
//! let meta = std::fs::metadata("/proc/self/exe")?;
//! let path = std::env::current_exe()?.into_os_string().into_encoded_bytes();
//! let mut module = Module::default();
//! (module.path, module.inode, module.size) = (path, meta.ino(), Some(meta.len()));
//! let mut symbolizer = Symbolizer::default();
//! let module = symbolizer.add_module(module);
//! let frames = symbolizer.symbolize(&[Place::File { module, offset: 0 }]);
//! assert_eq!(frames[0].len(), 1); // the headers are no code: a frame without a name
//! assert_eq!(frames[0][0].function, "");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - A [`Module`] is a file as recorded. The current file is used only if it is the same: by build
//!   id, otherwise by device, inode and size. A [`ModuleNote`] reports why names are missing or
//!   doubtful.
//! - A [`Place`] is an offset in a module, or an address in code made at run time.
//! - [`Symbolizer`] resolves places to [`SymbolFrame`]s; [`hint`] explains how to make a runtime
//!   name its code.
//!
//! Names come from DWARF with its inlined functions, otherwise from `.symtab`, `.dynsym`, the
//! symbols of the separate debug file, `.gnu_debugdata`, and Go's `.gopclntab`. A debuginfod server
//! is asked only on request. Without a name, a frame has a module and an offset. A truncated,
//! damaged or unresponsive file costs its names and yields a note.
//!
//! Not supported: names of PLT stubs; inlined Go functions in programs without DWARF; kernel
//! addresses.

mod debuginfod;
mod jit;
mod module;
mod symbolizer;

pub(crate) use self::jit::jit_ranges;
pub use self::{
    jit::{JitNote, JitNoteKind, read_jit},
    module::{Module, ModuleNote, ModuleSegment, OpenFile},
    symbolizer::{ModuleId, Place, SymbolOptions, Symbolizer},
};
pub use vmatlas_object::symbols::{SymbolFrame, hint};
