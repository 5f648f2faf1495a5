//! From addresses of code to functions and source lines: of a recording's stacks, afterwards and
//! elsewhere, each distinct address once.
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
//! - A [`Module`] is a file as the recording knew it. The file is used only if it still is that one:
//!   by its build id, else by device, inode and size. What stood in the way is a [`ModuleNote`].
//! - A [`Place`] is an offset in a module, or an address in code made at run time.
//! - [`Symbolizer`] makes [`SymbolFrame`]s of places; [`hint`] says what a runtime needs to give
//!   names to its code.
//!
//! Names come from DWARF with its inlined functions, else from `.symtab`, `.dynsym`, the symbols of
//! the separate debug file, `.gnu_debugdata`, and Go's `.gopclntab`; from a debuginfod server only
//! when asked; else a frame has a module and an offset. Files that are cut, damaged or never answer
//! cost a note and their names, no more.
//!
//! Not here: names of PLT stubs; Go functions that were inlined, in programs without DWARF; kernel
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
